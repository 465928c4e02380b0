-- SPDX-License-Identifier: Apache-2.0
-- Canary annotations of ingress-nginx; Higress reads the same ones.
local prefix = "nginx.ingress.kubernetes.io/"
local annotations = obj.annotations

-- What the user's own says of a canary would be said of this one: canary-weight-total divides a weight by something else. Higress
-- reads it by its own prefix, too.
for key in pairs(obj.annotations) do
  for _, p in ipairs({ prefix, "higress.io/" }) do
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
end

return annotations
