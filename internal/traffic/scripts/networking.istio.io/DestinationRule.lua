-- SPDX-License-Identifier: Apache-2.0
-- The subset "canary" of a Service whose canary pods have no Service of their own.
local spec = obj.data.spec

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
