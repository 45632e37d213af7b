-- Runs before the router filter at a sidecar: stamps the context that was chosen, once, wherever it came from.

function envoy_on_request(handle)
  local deployment = tell(handle)
  if not deployment then return end
  handle:headers():replace(CONTEXT, deployment)
  stamp(handle:headers(), deployment)
end
