-- SPDX-License-Identifier: Apache-2.0
-- Canary annotations of Alibaba Cloud ALB. The lowest order, of 1 to 1000 with 10 by default, lets the canary rules be tried before
-- the stable ones: https://www.alibabacloud.com/help/en/ack/serverless-kubernetes/user-guide/advanced-alb-ingress-settings
local prefix = "alb.ingress.kubernetes.io/"
local annotations = obj.annotations

-- What the user's own says of a canary would be said of this one: canary-weight-total divides a weight by something else.
for key in pairs(obj.annotations) do
  if string.sub(key, 1, #prefix + 6) == prefix .. "canary" then
    annotations[key] = nil
  end
end
if (tonumber(annotations[prefix .. "order"] or "") or 10) <= 1 then
  error("the annotation " .. prefix .. "order of your Ingress is " .. annotations[prefix .. "order"] .. ", and the canary Ingress needs a lower one than your Ingress, 1 being the lowest that ALB takes; "
    .. "write 2 or more, or leave it out for 10", 0)
end
annotations[prefix .. "canary"] = "true"
annotations[prefix .. "order"] = "1"

-- Conditions and actions are named after a Service: what conditions.api says is said of the canary by conditions.api-canary. An action may
-- forward to the Service, which is the canary one then.
local suffix, renamed = "." .. obj.stableService, {}
local forwarded = '([Ss]erviceName"%s*:%s*")' .. string.gsub(obj.stableService, "%p", "%%%0") .. '"'
for key, value in pairs(annotations) do
  if string.sub(key, 1, #prefix) == prefix and string.sub(key, -#suffix) == suffix then
    renamed[string.sub(key, 1, -#suffix) .. obj.canaryService] = string.gsub(value, forwarded, "%1" .. obj.canaryService .. '"')
  end
end
for key, value in pairs(renamed) do
  annotations[key] = value
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
end

return annotations
