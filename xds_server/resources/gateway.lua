-- Runs on every request that has a route, before the router filter, at a gateway.
--
-- 1. Takes the selector's parameter out of the query. Every other byte of the path stays as it came.
-- 2. Stamps the context into baggage, and into the context header, in place of any that came.
-- 3. Tells the access log which rule and deployment it was, and the listener why nobody's application answers.
-- 4. Tells the router under which rule the request is counted, within the cluster (`names.rule_stat`).
-- 5. Tells the client where the answer came from, where the gateway's record says so (`reveal`).

local QUERY = "{{query}}"
local REVEAL_DEPLOYMENT = {{reveal_deployment}}
local REVEAL_RULE = {{reveal_rule}}

local function without_selector(path)
  local question = path:find("?", 1, true)
  if not question then return path end
  local kept, dropped = {}, false
  for parameter in (path:sub(question + 1) .. "&"):gmatch("([^&]*)&") do
    if decoded(parameter:match("^[^=]*")) == QUERY then
      dropped = true
    else
      kept[#kept + 1] = parameter
    end
  end
  if not dropped then return path end
  if #kept == 0 then return path:sub(1, question - 1) end
  return path:sub(1, question) .. table.concat(kept, "&")
end

function envoy_on_request(handle)
  local deployment, rule = tell(handle)
  if not deployment then return end
  local headers = handle:headers()
  headers:replace(CONTEXT, deployment)
  headers:replace("x-envoy-upstream-alt-stat-name", "rule/" .. rule)
  if QUERY ~= "" then
    local path = headers:get(":path")
    local shorter = without_selector(path)
    if shorter ~= path then headers:replace(":path", shorter) end
  end
  stamp(headers, deployment)
end

if REVEAL_DEPLOYMENT or REVEAL_RULE then
  function envoy_on_response(handle)
    local rule, deployment = chosen(handle)
    local headers = handle:headers()
    if REVEAL_DEPLOYMENT and deployment and deployment ~= "-" then
      headers:replace("x-served-deployment", deployment)
    end
    if REVEAL_RULE and rule and rule ~= "-" then
      headers:replace("x-served-rule", rule)
    end
  end
end
