-- SPDX-License-Identifier: Apache-2.0
-- The subset "canary" of a Service whose canary pods have no Service of their own.
local spec = obj.data.spec

-- A rule of another host defines a subset that nothing is routed to. Files that are tried out may have none.
local host = spec.host or obj.stableService
local service, namespace, rest = string.match(host, "^([^.]*)%.?([^.]*)%.?([^.]*)")
local near = namespace == "" or obj.namespace == "" or namespace == obj.namespace
local named = service == obj.stableService and near and (rest == "" or rest == "svc")
if obj.canaryService == obj.stableService and not named and string.sub(host, 1, 1) ~= "*" then
  error("spec.host is " .. host .. " and not Service " .. obj.stableService .. ", whose subset canary the new version's pods need; name the DestinationRule of that Service", 0)
end

local tag = "istio.service.tag"
spec.subsets = spec.subsets or {}
for _, subset in ipairs(spec.subsets) do
  if subset.name == "canary" then
    if (subset.labels or {})[tag] == "gray" then
      return obj.data -- another part of the same release has added it
    end
    error("spec.subsets has one named canary, which the release needs for the new version's pods; give yours another name", 0)
  end
end
table.insert(spec.subsets, { name = "canary", labels = { [tag] = "gray" } })

return obj.data
