-- Runs first at a sidecar. Who carries its context in baggage alone is given the header, by which it is routed.
-- The header wins. Of several members that name a deployment, the first does: ours is stamped in front.

local function context_in(line)
  for member in (line .. ","):gmatch("([^,]*),") do
    if is_ours(member) then
      local value = member:match("^[^=;]*=([^;]*)")
      local deployment = value and decoded(value:match("^%s*(.-)%s*$")) or ""
      if deployment ~= "" then return deployment end
    end
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local named = headers:get(CONTEXT)
  if named and named ~= "" then return end
  for index = 0, headers:getNumValues("baggage") - 1 do
    local deployment = context_in(headers:getAtIndex("baggage", index))
    if deployment then
      headers:replace(CONTEXT, deployment)
      return
    end
  end
  if named then headers:remove(CONTEXT) end
end
