-- SPDX-License-Identifier: Apache-2.0
-- Rules of an ApisixRoute: a weight divides the weight that the stable Service's backends have in each rule, and leaves the
-- shares of others; each match becomes a rule of its own, one priority above the rule it was made from.
--
-- https://apisix.apache.org/docs/ingress-controller/references/apisix_route_v2 has the fields: a backend's weight is 100 by
-- default, and of rules for the same URI the one with the greater priority is taken. Of several exprs it says that one has to
-- hold, and the examples of APISIX itself that all have to, so no rule gets more than one.
local spec = obj.data.spec

if obj.canaryService == obj.stableService then
  error("an ApisixRoute cannot distinguish the new version's pods from the others of the same Service", 0)
end

local function copy(from)
  local to = {}
  for key, value in pairs(from) do
    to[key] = value
  end
  return to
end

local function divisor(a, b)
  while b ~= 0 do
    local rest = a % b -- "a, b = b, a % b" goes wrong in gopher-lua: TestGolden/custom/istio-weight
    a = b
    b = rest
  end
  return a
end

-- A subset is of the stable Service's pods, and the canary's has its own.
local function canaryOf(backend)
  local canary = copy(backend)
  canary.serviceName = obj.canaryService
  canary.subset = nil
  return canary
end

-- Weights times 100, less what they have in common with 100, so that every weight is a whole number.
local function divide(rule)
  local canaries, common = {}, 100
  for _, backend in ipairs(rule.backends) do
    local weight = #rule.backends == 1 and 100 or backend.weight or 100 -- a backend alone has no use for its weight
    if backend.serviceName == obj.stableService then
      local canary = canaryOf(backend)
      canary.weight = weight * obj.canaryWeight
      table.insert(canaries, canary)
      backend.weight = weight * obj.stableWeight
      common = divisor(common, canary.weight)
    else
      backend.weight = weight * 100
    end
    common = divisor(common, backend.weight)
  end
  for _, canary in ipairs(canaries) do
    table.insert(rule.backends, canary)
  end
  for _, backend in ipairs(rule.backends) do
    backend.weight = backend.weight / common
  end
end

local function expression(match)
  local header, query = (match.headers or {})[1], (match.queryParams or {})[1]
  local scope, from = "Header", header
  if not header then
    scope, from = "Query", query or error("an ApisixRoute is narrowed by a header, a cookie or a query parameter", 0)
  end
  local name, value = from.name, from.value
  if header and name == "canary-by-cookie" then -- as Ingresses have it: the cookie of that name is "always"
    scope, name, value = "Cookie", value, "always"
  end
  return { subject = { scope = scope, name = name }, op = from.type == "RegularExpression" and "RegexMatch" or "Equal", value = value }
end

local function narrow(rule, match, number)
  if rule.match and rule.match.exprs and #rule.match.exprs > 0 then
    error("rule " .. rule.name .. " has exprs of its own; a match cannot be added to them", 0)
  end
  local canary = copy(rule)
  canary.name = rule.name .. "-canary-" .. number
  canary.priority = (rule.priority or 0) + 1
  canary.match = copy(rule.match or {})
  canary.match.exprs = { expression(match) }
  canary.backends = {}
  for _, backend in ipairs(rule.backends) do
    table.insert(canary.backends, backend.serviceName == obj.stableService and canaryOf(backend) or backend) -- others keep their weights
  end
  return canary
end

-- False: none of the stable Service's requests are routed by the rule.
local function leads(rule)
  for _, backend in ipairs(rule.backends) do
    if backend.serviceName == obj.stableService and (backend.weight ~= 0 or #rule.backends == 1) then
      return true
    end
  end
  return false
end

local function leadsToStable(rule)
  for _, backend in ipairs(rule.backends or {}) do
    if backend.serviceName == obj.stableService then
      return true
    end
  end
  return false
end

-- Of two rules with one priority no one says which is taken.
local function checkPriority(rule)
  for _, other in ipairs(spec.http) do
    if not leadsToStable(other) and (other.priority or 0) == (rule.priority or 0) + 1 then
      error("rule " .. other.name .. " has priority " .. other.priority .. ", which the new version's part of rule " .. rule.name .. " gets, and could lose requests to it; write a priority that is greater by one", 0)
    end
  end
end

if not (obj.matches and #obj.matches > 0) then
  for _, rule in ipairs(spec.stream or {}) do
    if rule.backend and rule.backend.serviceName == obj.stableService then
      error("rule " .. rule.name .. " in spec.stream routes to Service " .. obj.stableService .. ", and cannot have a second backend; move it to an ApisixRoute of its own", 0)
    end
  end
end

local rules, found = {}, false
for _, rule in ipairs(spec.http or {}) do
  table.insert(rules, rule)
  if leadsToStable(rule) and leads(rule) then
    found = true
    if obj.matches and #obj.matches > 0 then
      checkPriority(rule)
      for number, match in ipairs(obj.matches) do
        table.insert(rules, narrow(rule, match, number))
      end
    elseif rule.upstreams and #rule.upstreams > 0 then
      error("rule " .. rule.name .. " has upstreams in addition to its backends; their weights cannot be kept", 0)
    else
      divide(rule)
    end
  end
end
if not found then
  error("no rule in spec.http has a backend that is Service " .. obj.stableService .. " and gets requests", 0)
end
spec.http = rules

return obj.data
