-- SPDX-License-Identifier: Apache-2.0
-- Weighted services of a TraefikService: a weight divides the weight of the stable Service, and leaves the weights of others.
-- What requests match is said in IngressRoutes, which name the TraefikService, so that there are no matches here.
--
-- https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/crd/http/traefikservice has the fields. It does
-- not say what a service without a weight has next to others with one.
local services = obj.data.spec.weighted and obj.data.spec.weighted.services or {}

if obj.canaryService == obj.stableService then
  error("a TraefikService cannot distinguish the new version's pods from the others of the same Service", 0)
end
if obj.matches and #obj.matches > 0 then
  error("a TraefikService matches no requests", 0)
end

local function divisor(a, b)
  while b ~= 0 do
    local rest = a % b -- "a, b = b, a % b" goes wrong in gopher-lua: TestGolden/custom/istio-weight
    a = b
    b = rest
  end
  return a
end

local function isStable(service)
  local near = service.namespace == nil or service.namespace == "" or service.namespace == obj.namespace
  return service.name == obj.stableService and (service.kind or "Service") == "Service" and near
end

local weighted = 0
for _, service in ipairs(services) do
  weighted = weighted + (service.weight and 1 or 0)
end
if weighted > 0 and weighted < #services then
  error("some of spec.weighted.services have a weight and others have none; write one for each", 0)
end

-- Weights times 100, less what they have in common with 100, so that every weight is a whole number.
local canaries, common, share = {}, 100, 0
for _, service in ipairs(services) do
  local weight = #services == 1 and 100 or service.weight or 1
  if isStable(service) then
    local canary = {}
    for key, value in pairs(service) do
      canary[key] = value
    end
    canary.name = obj.canaryService
    share = share + weight
    canary.weight = weight * obj.canaryWeight
    table.insert(canaries, canary)
    service.weight = weight * obj.stableWeight
    common = divisor(common, canary.weight)
  else
    service.weight = weight * 100
  end
  common = divisor(common, service.weight)
end
if #canaries == 0 then
  error("spec.weighted.services does not have Service " .. obj.stableService, 0)
elseif share == 0 then -- or else a step would count as done with no request at the new version
  error("Service " .. obj.stableService .. " has no weight above 0 in spec.weighted.services, so no traffic can be split", 0)
end
for _, canary in ipairs(canaries) do
  table.insert(services, canary)
end
for _, service in ipairs(services) do
  service.weight = service.weight / common
end

return obj.data
