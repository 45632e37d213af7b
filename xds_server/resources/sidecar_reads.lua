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
