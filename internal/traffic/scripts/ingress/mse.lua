-- SPDX-License-Identifier: Apache-2.0
-- Canary annotations of MSE: those of ingress-nginx, and its own for queries, headers and subsets. MSE documents queries
-- under its own prefix; scripts and clients of this API group know them under that of nginx, so they are under both.
local prefix = "nginx.ingress.kubernetes.io/"
local mse = "mse.ingress.kubernetes.io/"
local annotations = obj.annotations

-- What the user's own says of a canary would be said of this one: canary-weight-total divides a weight by something else.
for key in pairs(obj.annotations) do
  for _, p in ipairs({ prefix, mse }) do
    if string.sub(key, 1, #p + 6) == p .. "canary" then
      annotations[key] = nil
    end
  end
end
annotations[prefix .. "canary"] = "true"

if obj.weight ~= "-1" then
  annotations[prefix .. "canary-weight"] = obj.weight
end

for _, match in ipairs(obj.matches or {}) do
  local header = match.headers and match.headers[1]
  if header and header.name == "canary-by-cookie" then
    annotations[prefix .. "canary-by-cookie"] = header.value
  elseif header then
    local how = header.type == "RegularExpression" and "pattern" or "value"
    annotations[prefix .. "canary-by-header"] = header.name
    annotations[prefix .. "canary-by-header-" .. how] = header.value
  end

  local query = match.queryParams and match.queryParams[1]
  if query then
    local how = query.type == "RegularExpression" and "pattern" or "value"
    for _, p in ipairs({ prefix, mse }) do
      annotations[p .. "canary-by-query"] = query.name
      annotations[p .. "canary-by-query-" .. how] = query.value
    end
  end
end

if annotations[mse .. "service-subset"] then
  annotations[mse .. "service-subset"] = "gray"
end

-- Headers a line each, names to remove in one line. What the user changes stays, but for headers that the step names.
local modifier = obj.requestHeaderModifier or {}
local control, named = mse .. "request-header-control-", {}
for _, verb in ipairs({ "set", "add" }) do
  for _, header in ipairs(modifier[verb] or {}) do
    named[string.lower(header.name)] = true
  end
end
for _, name in ipairs(modifier.remove or {}) do
  named[string.lower(name)] = true
end

local function change(annotation, pattern, separator, more)
  local parts = {}
  for part in string.gmatch(annotations[control .. annotation] or "", pattern) do
    if not named[string.lower(string.match(part, "^%s*(%S*)"))] then
      table.insert(parts, part)
    end
  end
  for _, part in ipairs(more) do
    table.insert(parts, part)
  end
  annotations[control .. annotation] = #parts > 0 and table.concat(parts, separator) or nil
end

local function lines(list)
  local all = {}
  for _, header in ipairs(list or {}) do
    table.insert(all, header.name .. " " .. header.value)
  end
  return all
end

if next(modifier) ~= nil then
  change("update", "[^\n]+", "\n", lines(modifier.set))
  change("add", "[^\n]+", "\n", lines(modifier.add))
  change("remove", "[^,]+", ",", modifier.remove or {})
end

if obj.canaryService == obj.stableService and next(modifier) == nil and not annotations[mse .. "service-subset"] then
  error("the canary Ingress routes to Service " .. obj.stableService .. " like yours, and changes nothing; write requestHeaderModifier, or give your Ingress the annotation "
    .. mse .. "service-subset", 0)
end

return annotations
