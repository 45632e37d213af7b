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

-- Runs first at a sidecar. Who carries its context in baggage alone is given the header, by which it is routed.
-- The header wins, and one that came several times and says different things names no deployment that there is.
-- Of several members that name a deployment, the first does: ours is stamped in front.

local function context_in(line)
  for member in (line .. ","):gmatch("([^,]*),") do
    if is_ours(member) then
      local value = member:match("^[^=;]*=([^;]*)")
      local deployment = value and decoded(value:match("^%s*(.-)%s*$")) or ""
      if deployment ~= "" then return deployment end
    end
  end
end

-- Of a header that came several times, which arrives as one with commas, what all of them say; nothing if they differ.
local function agreed(named)
  local found
  for each in (named .. ","):gmatch("%s*([^,]-)%s*,") do
    if each ~= "" then
      if found and found ~= each then return nil end
      found = each
    end
  end
  return found or ""
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local named = headers:get(CONTEXT)
  if named and named:find(",", 1, true) then
    named = agreed(named)
    if not named then return end
    headers:replace(CONTEXT, named)
  end
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
