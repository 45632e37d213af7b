-- The context of a request: the deployment that it is bound to, in the header and in a member of baggage.
--
-- A route's name is <rule>/<deployment>/<route>: what the control plane chose for this request; `-` is none.
-- Stamping takes every `xds.deployment` member out of every baggage line and puts ours in front. Every other member
-- stays byte for byte. Ours and theirs are one line, or two where one would pass 8192 bytes, the limit of W3C Baggage
-- beyond which libraries drop a line whole.

local CONTEXT = "x-deployment"
local KEY = "xds.deployment"
local LINE_LIMIT = 8192

local function decoded(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function is_ours(member)
  local key = decoded((member:match("^[^=;]*"):gsub("+", " ")))
  return key:match("^%s*(.-)%s*$") == KEY
end

local function without_context(line)
  local kept, dropped = {}, false
  for member in (line .. ","):gmatch("([^,]*),") do
    if is_ours(member) then
      dropped = true
    else
      kept[#kept + 1] = member
    end
  end
  if not dropped then return line end
  return table.concat(kept, ",")
end

local function stamp(headers, deployment)
  local ours = KEY .. "=" .. deployment
  local lines = {}
  for index = 0, headers:getNumValues("baggage") - 1 do
    local line = without_context(headers:getAtIndex("baggage", index))
    if line:find("%S") then lines[#lines + 1] = line end
  end
  if #lines == 0 then
    headers:replace("baggage", ours)
    return
  end
  local theirs = table.concat(lines, ",")
  if #ours + 1 + #theirs <= LINE_LIMIT then
    headers:replace("baggage", ours .. "," .. theirs)
  else
    headers:replace("baggage", ours)
    headers:add("baggage", theirs)
  end
end

local function chosen(handle)
  return handle:streamInfo():routeName():match("^([^/]+)/([^/]+)/(.*)$")
end

-- Tells the access log and the local replies what was chosen; says which deployment the request is bound to, if any,
-- and under which rule.
local function tell(handle)
  local rule, deployment, route = chosen(handle)
  if not rule then return nil end
  local said = handle:streamInfo():dynamicMetadata()
  if rule ~= "-" then said:set("xds-server", "rule", rule) end
  -- A refusal is a word; a route of an application is <component>.<place>.
  if not route:find(".", 1, true) then said:set("xds-server", "reason", route) end
  if deployment == "-" then return nil end
  said:set("xds-server", "deployment", deployment)
  return deployment, rule
end

-- Runs on every request that has a route, before the router filter, at a gateway.
--
-- 1. Takes the selector's parameter out of the query. Every other byte of the path stays as it came.
-- 2. Stamps the context into baggage, and into the context header, in place of any that came.
-- 3. Tells the access log which rule and deployment it was, and the listener why nobody's application answers.
-- 4. Tells the router under which rule the request is counted, within the cluster (`names.rule_stat`).
-- 5. Tells the client where the answer came from, where the gateway's record says so (`reveal`).

local QUERY = "explicit-deployment"
local REVEAL_DEPLOYMENT = true
local REVEAL_RULE = true

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
