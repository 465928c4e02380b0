-- SPDX-License-Identifier: Apache-2.0
-- The subset "canary" of a Service whose canary pods have no Service of their own.
local spec = obj.data.spec

spec.subsets = spec.subsets or {}
table.insert(spec.subsets, {
  name = "canary",
  labels = { ["istio.service.tag"] = "gray" },
})

return obj.data
