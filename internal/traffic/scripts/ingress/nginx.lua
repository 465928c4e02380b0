-- SPDX-License-Identifier: Apache-2.0
-- Canary annotations of ingress-nginx; Higress reads the same ones.
local prefix = "nginx.ingress.kubernetes.io/"
local annotations = obj.annotations

annotations[prefix .. "canary"] = "true"
for _, key in ipairs({ "cookie", "header", "header-pattern", "header-value" }) do
  annotations[prefix .. "canary-by-" .. key] = nil
end
annotations[prefix .. "canary-weight"] = nil

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
end

return annotations
