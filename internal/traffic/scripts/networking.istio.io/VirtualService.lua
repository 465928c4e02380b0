-- SPDX-License-Identifier: Apache-2.0
-- Routes of a VirtualService: each match becomes a rule before all others; a weight divides the share that the routes
-- to the stable Service have in each rule without matches of its own, and leaves the shares of other hosts.
local spec = obj.data.spec

-- The canary's destination is that of the stable Service by another name, at the same port: Istio asks for one where a
-- Service has several.
local function destination(port)
  if obj.canaryService == obj.stableService then
    return { host = obj.stableService, subset = "canary", port = port }
  end
  return { host = obj.canaryService, port = port }
end

local function portOf(route)
  local port = route.destination and route.destination.port
  return port, tostring(port and port.number)
end

-- A host is the Service's name, or goes on with its namespace. Files that are tried out may have none.
local function isStable(route)
  local host = route.destination and route.destination.host or ""
  local service, namespace = string.match(host, "^([^.]*)%.?([^.]*)")
  local near = namespace == "" or obj.namespace == "" or namespace == obj.namespace
  return service == obj.stableService and near
end

local function condition(match)
  if match.type == "RegularExpression" then
    return { regex = match.value }
  end
  return { exact = match.value }
end

local function uri(path)
  if path.type == "RegularExpression" then
    return { regex = path.value }
  elseif path.type == "Exact" then
    return { exact = path.value }
  end
  return { prefix = path.value or "/" }
end

local function byName(list)
  local map = {}
  for _, entry in ipairs(list) do
    map[entry.name] = entry.value
  end
  return map
end

-- what is to happen to the headers of requests for the canary
local function headers()
  local modifier = obj.requestHeaderModifier
  if not modifier then
    return nil
  end
  local request = {}
  for _, verb in ipairs({ "set", "add" }) do
    if modifier[verb] and #modifier[verb] > 0 then
      request[verb] = byName(modifier[verb])
    end
  end
  if modifier.remove and #modifier.remove > 0 then
    request.remove = modifier.remove
  end
  if next(request) == nil then
    return nil
  end
  return { request = request }
end

-- the port at which rules lead to the stable Service
local function stablePort()
  local found, port, number = false, nil, nil
  for _, rule in ipairs(spec.http or {}) do
    for _, route in ipairs(rule.route or {}) do
      if isStable(route) then
        local p, n = portOf(route)
        if found and n ~= number then
          error("rules lead to Service " .. obj.stableService .. " at several ports; a step with matches would lead to one only", 0)
        end
        found, port, number = true, p, n
      end
    end
  end
  return port
end

local function addMatches()
  local port = stablePort()
  spec.http = spec.http or {}
  for _, match in ipairs(obj.matches) do
    local m = {}
    if match.path then
      m.uri = uri(match.path)
    end
    for _, field in ipairs({ "headers", "queryParams" }) do
      for _, entry in ipairs(match[field] or {}) do
        m[field] = m[field] or {}
        m[field][entry.name] = condition(entry)
      end
    end
    table.insert(spec.http, 1, { match = next(m) and { m } or nil, route = { { destination = destination(port) } }, headers = headers() })
  end
end

local function divisor(a, b)
  while b ~= 0 do
    local rest = a % b -- "a, b = b, a % b" goes wrong in gopher-lua: TestGolden/custom/istio-weight
    a = b
    b = rest
  end
  return a
end

-- False: none of the stable Service's requests are led by this rule.
local function divide(rule, canary, modified)
  if rule.match and #rule.match > 0 then
    return false
  end
  local weighted, stable = false, 0
  for _, route in ipairs(rule.route or {}) do
    weighted = weighted or route.weight ~= nil
    if isStable(route) then
      stable = stable + 1
    end
  end
  if stable == 0 then
    return false
  end

  -- in hundredths; a rule without weights shares evenly
  local even = 100 % #rule.route == 0 and 100 / #rule.route or 1
  local shares, ports, common = {}, {}, 100 -- by port, and the ports in their order
  for _, route in ipairs(rule.route) do
    local weight = route.weight or (weighted and 0 or even)
    if isStable(route) then
      local port, number = portOf(route)
      if not shares[number] then
        shares[number] = 0
        table.insert(ports, { number = number, port = port })
      end
      shares[number] = shares[number] + weight * canary
      route.weight = weight * (100 - canary)
    else
      route.weight = weight * 100
    end
    common = divisor(common, route.weight)
  end
  for _, at in ipairs(ports) do
    common = divisor(common, shares[at.number])
  end
  for _, route in ipairs(rule.route) do
    route.weight = route.weight / common
  end
  for _, at in ipairs(ports) do
    table.insert(rule.route, { destination = destination(at.port), weight = shares[at.number] / common, headers = modified })
  end
  return true
end

if obj.matches and #obj.matches > 0 then
  addMatches()
else
  local canary = obj.canaryWeight
  if canary == -1 then
    canary = 100
  end
  local found = false
  for _, protocol in ipairs({ "http", "tcp", "tls" }) do
    for _, rule in ipairs(spec[protocol] or {}) do
      found = divide(rule, canary, protocol == "http" and headers() or nil) or found -- others have no headers
    end
  end
  if not found then -- or else a step would count as done with no request at the new version
    error("no rule without match leads to Service " .. obj.stableService .. "; a share can be taken from such rules only", 0)
  end
end

return obj.data
