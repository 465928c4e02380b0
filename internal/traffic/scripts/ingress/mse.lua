-- SPDX-License-Identifier: Apache-2.0
-- Canary annotations of MSE: those of ingress-nginx, and its own for queries, headers and subsets. MSE documents queries
-- under its own prefix; scripts and clients of this API group know them under that of nginx, so they are under both.
local prefix = "nginx.ingress.kubernetes.io/"
local mse = "mse.ingress.kubernetes.io/"
local annotations = obj.annotations

annotations[prefix .. "canary"] = "true"
for _, key in ipairs({ "cookie", "header", "header-pattern", "header-value" }) do
  annotations[prefix .. "canary-by-" .. key] = nil
end
annotations[prefix .. "canary-weight"] = nil
for _, key in ipairs({ "query", "query-pattern", "query-value" }) do
  annotations[prefix .. "canary-by-" .. key] = nil
  annotations[mse .. "canary-by-" .. key] = nil
end

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

-- headers a line each, names to remove in one line
local modifier = obj.requestHeaderModifier or {}
for verb, annotation in pairs({ set = "update", add = "add" }) do
  local lines = {}
  for _, header in ipairs(modifier[verb] or {}) do
    table.insert(lines, header.name .. " " .. header.value)
  end
  if #lines > 0 then
    annotations[mse .. "request-header-control-" .. annotation] = table.concat(lines, "\n")
  end
end
if modifier.remove and #modifier.remove > 0 then
  annotations[mse .. "request-header-control-remove"] = table.concat(modifier.remove, ",")
end

return annotations
