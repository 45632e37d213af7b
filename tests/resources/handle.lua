-- What Envoy gives to a Lua filter, as far as our filters ask for it: one direction of one request.
-- A header map is a list of {name, value}; names are in lower case, and one name may be on any number of lines.

local Headers = {}
Headers.__index = Headers

function Headers:values(name)
  local found = {}
  for _, line in ipairs(self.lines) do
    if line[1] == name then found[#found + 1] = line[2] end
  end
  return found
end

function Headers:get(name)
  local found = self:values(name)
  return found[1] and table.concat(found, ",")
end

function Headers:getNumValues(name)
  return #self:values(name)
end

function Headers:getAtIndex(name, index)
  return self:values(name)[index + 1]
end

function Headers:add(name, value)
  self.lines[#self.lines + 1] = {name, value}
end

function Headers:replace(name, value)
  self:remove(name)
  self:add(name, value)
end

function Headers:remove(name)
  local kept = {}
  for _, line in ipairs(self.lines) do
    if line[1] ~= name then kept[#kept + 1] = line end
  end
  self.lines = kept
end

function run(hook, route, lines)
  local headers = setmetatable({lines = lines}, Headers)
  local said = {}
  local metadata = {set = function(_, _, key, value) said[key] = value end}
  local info = {routeName = function() return route end, dynamicMetadata = function() return metadata end}
  _G[hook]({headers = function() return headers end, streamInfo = function() return info end})
  return headers.lines, said
end
