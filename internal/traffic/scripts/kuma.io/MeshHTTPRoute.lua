-- SPDX-License-Identifier: Apache-2.0
-- Backends of a MeshHTTPRoute: a weight divides the weight of the stable Service's MeshService in each rule, and leaves the
-- shares of others.
--
-- https://kuma.io/docs/latest/policies/meshhttproute has the fields. It does not say which of two rules is taken if a request
-- matches both, so that matches, which need a rule next to another, are not offered.
if obj.canaryService == obj.stableService then
  error("a MeshHTTPRoute cannot distinguish the new version's pods from the others of the same Service", 0)
end
if obj.matches and #obj.matches > 0 then
  error("matches are not supported for a MeshHTTPRoute", 0)
end

local function divisor(a, b)
  while b ~= 0 do
    local rest = a % b -- "a, b = b, a % b" goes wrong in gopher-lua: TestGolden/custom/istio-weight
    a = b
    b = rest
  end
  return a
end

-- The canary's name for a backend of the stable Service; nil for others. A MeshService is called as its Service, or in
-- meshes without MeshServices <service>_<namespace>_svc_<port>.
local function canaryName(backend)
  if backend.kind ~= "MeshService" then
    return nil
  end
  if backend.name == obj.stableService and (backend.namespace == nil or backend.namespace == obj.namespace) then
    return obj.canaryService
  end
  local service, rest = string.match(backend.name or "", "^([^_]+)(_.*_svc_.*)$")
  if service == obj.stableService and string.sub(rest, 1, #obj.namespace + 6) == "_" .. obj.namespace .. "_svc_" then
    return obj.canaryService .. rest
  end
  return nil
end

-- Weights times 100, less what they have in common with 100, so that every weight is a whole number. False: the stable
-- Service is not among the backends.
local function divide(backends)
  local canaries, common, weights, share = {}, 100, {}, 0
  for i, backend in ipairs(backends) do
    local weight, name = #backends == 1 and 100 or backend.weight or 1, canaryName(backend)
    if name then
      local canary = {}
      for key, value in pairs(backend) do
        canary[key] = value
      end
      canary.name = name
      share = share + weight
      canary.weight = weight * obj.canaryWeight
      table.insert(canaries, canary)
      weights[i] = weight * obj.stableWeight
      common = divisor(common, canary.weight)
    else
      weights[i] = weight * 100
    end
    common = divisor(common, weights[i])
  end
  if share == 0 then -- or else a step would count as done with no request at the new version
    return false
  end
  for i, backend in ipairs(backends) do
    backend.weight = weights[i] / common
  end
  for _, canary in ipairs(canaries) do
    canary.weight = canary.weight / common
    table.insert(backends, canary)
  end
  return true
end

-- Whether requests of a rule without backendRefs go to its target.
local function passes(rule)
  for _, filter in ipairs(rule.default and rule.default.filters or {}) do
    if filter.type == "RequestRedirect" then
      return false
    end
  end
  return #(rule.default and rule.default.backendRefs or {}) == 0
end

local found = false
for _, to in ipairs(obj.data.spec.to or {}) do
  for _, rule in ipairs(to.rules or {}) do
    if passes(rule) and to.targetRef and canaryName(to.targetRef) then
      error("a rule in spec.to routes to its target, MeshService " .. to.targetRef.name .. ", without backendRefs; write them, so that they can have weights", 0)
    end
    if divide(rule.default and rule.default.backendRefs or {}) then
      found = true
    end
  end
end
if not found then
  error("no rule in spec.to has a backendRef that is MeshService " .. obj.stableService .. " and gets requests; write them, also where a rule routes to its target", 0)
end

return obj.data
