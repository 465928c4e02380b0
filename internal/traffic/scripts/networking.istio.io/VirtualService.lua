-- SPDX-License-Identifier: Apache-2.0
-- Routes of a VirtualService. With matches, each rule that routes to the stable Service gets a copy of itself in front, for
-- those of its requests that match. A weight divides the weight that the routes to the stable Service have in each rule without
-- matches of its own. Both leave the weights of other hosts.
local spec = obj.data.spec

-- What is empty is passed on as it is: a list or a map, no one else knows.
local copy

local function entries(t)
  local all = {}
  for key, value in pairs(t) do
    all[key] = copy(value)
  end
  return all
end

copy = function(value)
  if type(value) ~= "table" or next(value) == nil then
    return value
  end
  return entries(value)
end

-- The canary's destination is that of the stable Service by another name, at the same port: Istio asks for one where a
-- Service has several. A subset is of the stable one's pods.
local function destination(of)
  local d = entries(of)
  d.host = obj.canaryService
  d.subset = obj.canaryService == obj.stableService and "canary" or nil
  return d
end

-- A host is a Service's name, or goes on with its namespace, and then with svc and the domain of the cluster; whatever else begins
-- with the name is a host outside. Files that are tried out may have no namespace.
local function isHost(route, name)
  local host = route.destination and route.destination.host or ""
  local service, namespace, rest = string.match(host, "^([^.]*)%.?([^.]*)%.?([^.]*)")
  local near = namespace == "" or obj.namespace == "" or namespace == obj.namespace
  return service == name and near and (rest == "" or rest == "svc")
end

local function isStable(route)
  return isHost(route, obj.stableService)
end

-- Whether each route of a rule gets requests: one that is alone gets all, and next to others those without a weight get none,
-- unless no route has one.
local function serving(rule)
  local weighted = false
  for _, route in ipairs(rule.route or {}) do
    weighted = weighted or route.weight ~= nil
  end
  return function(route)
    return #rule.route == 1 or not weighted or (route.weight or 0) > 0
  end
end

local function leads(rule)
  local serves = serving(rule)
  for _, route in ipairs(rule.route or {}) do
    if isStable(route) and serves(route) then
      return true
    end
  end
  return false
end

local function condition(match)
  if match.type == "RegularExpression" then
    return { regex = match.value }
  end
  return { exact = match.value }
end

-- The conditions of which a path has to meet one. A PathPrefix counts whole elements, a prefix in Istio counts characters.
local function uris(path)
  if path.type == "RegularExpression" then
    return { { regex = path.value } }
  elseif path.type == "Exact" then
    return { { exact = path.value } }
  end
  local element = string.gsub(path.value or "/", "/$", "")
  if element == "" then
    return { { prefix = "/" } }
  end
  return { { exact = element }, { prefix = element .. "/" } }
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

-- Whether a rule was added for another release, which its user cannot mend.
local function isAdded(rule)
  for _, route in ipairs(rule.route or {}) do
    local to = route.destination or {}
    if to.subset == "canary" and not isStable(route) then
      return true
    end
    for _, canary in ipairs(obj.otherCanaries or {}) do
      if isHost(route, canary) then
        return true
      end
    end
  end
  return false
end

local added = false -- the rule at hand was

local function cannot(what)
  if added then
    return nil -- such requests stay with the other release's canary, and our stable Service
  end
  error("a match of the step and one of a rule that routes to Service " .. obj.stableService .. " both have " .. what .. "; write it in one of them only", 0)
end

-- The condition that asks for what both do; nil: nothing meets both.
local function both(a, b, what)
  if not a or next(a) == nil then -- it has to be there, whatever it is
    return b
  elseif not b or next(b) == nil then
    return a
  elseif a.exact == b.exact and a.prefix == b.prefix and a.regex == b.regex then
    return a
  elseif a.regex or b.regex then
    return cannot(what)
  elseif a.exact and b.exact then
    return nil
  elseif a.exact then
    return string.sub(a.exact, 1, #b.prefix) == b.prefix and a or nil
  elseif b.exact then
    return both(b, a, what)
  elseif #a.prefix < #b.prefix then
    return both(b, a, what)
  end
  return string.sub(a.prefix, 1, #b.prefix) == b.prefix and a or nil
end

-- What is requested of headers or parameters, together; nil: nothing meets both. Names of headers are alike in any case.
local function all(mine, theirs, what)
  local names, map = {}, entries(mine)
  for name in pairs(mine) do
    names[what == "header" and string.lower(name) or name] = name
  end
  for _, entry in ipairs(theirs) do
    local key = what == "header" and string.lower(entry.name) or entry.name
    local name = names[key] or entry.name
    names[key] = name
    map[name] = both(map[name], condition(entry), what .. " " .. entry.name)
    if not map[name] then
      return nil
    end
  end
  return next(map) and map
end

-- Whether a header that a rule demands not to be there is one that the step demands. Of patterns it is known only whether they are
-- the same.
local function excludes(without, theirs)
  for name, not_ in pairs(without or {}) do
    for _, entry in ipairs(theirs) do
      local is = condition(entry)
      local same = next(not_) == nil or is.exact and (not_.exact == is.exact or not_.prefix and string.sub(is.exact, 1, #not_.prefix) == not_.prefix)
        or is.regex and not_.regex == is.regex
      if same and string.lower(name) == string.lower(entry.name) then
        return true
      end
    end
  end
  return false
end

-- A condition on paths as it is to be compared, where their case counts for nothing.
local function cased(condition, ignored)
  if not condition or not ignored or condition.regex then
    return condition
  end
  return { exact = condition.exact and string.lower(condition.exact), prefix = condition.prefix and string.lower(condition.prefix) }
end

-- The path of a match of a rule that has one of the step, too; nil: none. What rewrite.uri replaces is the prefix that
-- was matched, or else the whole path: with another the new version would be asked for another path than the stable one.
local function narrowedPath(own, uri, rewrite)
  local had = cased(own.uri, own.ignoreUriCase)
  local path = both(had, cased(uri, own.ignoreUriCase), "the path")
  local prefix = not (had and next(had)) and "/" or had.prefix
  if not path or not prefix or path.prefix == prefix or not (rewrite and rewrite.uri) then
    return path
  elseif added then
    return nil
  end
  error("a rule that routes to Service " .. obj.stableService .. " rewrites the path prefix " .. prefix .. " (rewrite.uri), and would rewrite " .. (path.prefix or path.exact or path.regex)
    .. " of the step instead; match no path in the step, but a header or a query parameter", 0)
end

-- Requests that meet a match of a rule and one of the step, whose path meets a condition if there is one; nil: there are none.
local function narrowed(own, match, uri, rewrite)
  if excludes(own.withoutHeaders, match.headers or {}) then
    return nil
  end
  local m = entries(own)
  if uri then
    m.uri = narrowedPath(own, uri, rewrite)
    if not m.uri then
      return nil
    end
  end
  for field, what in pairs({ headers = "header", queryParams = "query parameter" }) do
    if match[field] and #match[field] > 0 then
      m[field] = all(own[field] or {}, match[field], what)
      if not m[field] then
        return nil
      end
    end
  end
  return m
end

-- What is left of a change of headers without those that the step names, in any case: Istio would do both.
local function without(change, named)
  local kept = {}
  for key, value in pairs(change) do
    if type(key) == "number" then -- of a list of names to remove
      if not named[string.lower(value)] then
        table.insert(kept, value)
      end
    elseif not named[string.lower(key)] then
      kept[key] = value
    end
  end
  return kept
end

-- A route to the canary in place of one to the stable Service, with all that it has.
local function instead(route, own)
  local r = copy(route)
  r.destination = destination(route.destination)
  if not own then
    return r
  end
  local named = {}
  for verb, change in pairs(own.request) do
    for key, value in pairs(change) do
      named[string.lower(verb == "remove" and value or key)] = true
    end
  end
  r.headers = entries(r.headers or {})
  local request = {}
  for verb, change in pairs(r.headers.request or {}) do
    local kept = without(change, named)
    request[verb] = next(kept) ~= nil and kept or next(change) == nil and change or nil
  end
  for verb, change in pairs(own.request) do
    request[verb] = request[verb] and next(request[verb]) ~= nil and request[verb] or {}
    for key, value in pairs(change) do
      if verb == "remove" then
        table.insert(request.remove, value)
      else
        request[verb][key] = value
      end
    end
  end
  r.headers.request = request
  return r
end

-- Routes to the canary that differ in nothing but their weights are one: there were several for subsets of the stable Service.
local function joiner()
  local at = {}
  return function(canary)
    local weight = canary.weight
    canary.weight = nil
    local key = json.encode(canary)
    local before = at[key]
    if not before then
      canary.weight, at[key] = weight, canary
      return canary
    end
    before.weight = (before.weight or weight) and (before.weight or 0) + (weight or 0)
  end
end

-- Whether a text that meets one condition is known to meet another, too. Of patterns only the same one is.
local function coversText(wide, narrow)
  if not narrow then
    return false
  elseif next(wide) == nil then -- it has to be there
    return true
  elseif wide.prefix then
    return string.sub(narrow.exact or narrow.prefix or "", 1, #wide.prefix) == wide.prefix
  end
  return wide.exact ~= nil and wide.exact == narrow.exact or wide.regex ~= nil and wide.regex == narrow.regex
end

local function coversPath(wide, narrow)
  if not wide.uri or wide.uri.prefix == "/" then -- every path begins so
    return true
  elseif narrow.ignoreUriCase and not wide.ignoreUriCase then
    return false
  end
  return coversText(cased(wide.uri, wide.ignoreUriCase), cased(narrow.uri, wide.ignoreUriCase))
end

-- Whether each name of a map has one in another, in any case if that is ignored, with a condition that is enough for its own.
local function coversNamed(wants, has, enough, ignored)
  for name, want in pairs(wants) do
    local found = false
    for other, condition in pairs(has or {}) do
      found = found or (other == name or ignored and string.lower(other) == string.lower(name)) and enough(want, condition)
    end
    if not found then
      return false
    end
  end
  return true
end

local covers = {
  scheme = coversText,
  method = coversText,
  authority = coversText,
  headers = function(wide, narrow)
    return coversNamed(wide, narrow, coversText, true)
  end,
  queryParams = function(wide, narrow)
    return coversNamed(wide, narrow, coversText)
  end,
  withoutHeaders = function(wide, narrow) -- who leaves out more asks for more
    return coversNamed(wide, narrow, function(want, condition)
      return coversText(condition, want)
    end, true)
  end,
}
for _, field in ipairs({ "uri", "ignoreUriCase", "name", "statPrefix" }) do -- coversPath, or no condition
  covers[field] = function()
    return true
  end
end

-- Whether every request that meets one match is known to meet another, too. Of fields that is not known only the same ones are.
local function coversMatch(wide, narrow)
  if not coversPath(wide, narrow) then
    return false
  end
  for field, want in pairs(wide) do
    local of = covers[field]
    if of and not of(want, narrow[field]) or not of and json.encode(want) ~= json.encode(narrow[field]) then
      return false
    end
  end
  return true
end

-- The rules of the user's that come before the one at hand, in their order, and what finds out which of them has all requests of a
-- match: the first one that a request meets takes it. A delegate leaves those that none of its own rules has, and of a rule that does
-- nothing known no one can know. A rule that was added for another release has none but those of its user's rule, which is there, too.
local function order(protocol)
  local before = {}
  local function taker(match)
    local number = 0
    for _, rule in ipairs(before) do
      local skipped = isAdded(rule)
      number = number + (skipped and 0 or 1)
      local matches = rule.match and #rule.match > 0 and rule.match or { {} }
      local takes = not skipped and (rule.route or rule.redirect or rule.directResponse)
      for _, wide in ipairs(takes and matches or {}) do
        if coversMatch(wide, match) then
          return rule.name and "rule " .. rule.name or protocol .. " rule " .. number
        end
      end
    end
  end
  return before, taker
end

-- What becomes of each match of the step: what was made of it reaches the canary, or is taken by a rule before. Where that is one
-- of the stable Service, this was narrowed by the same match, and is reached in its place.
local reached, taken = {}, {}
local left = #(obj.matches or {}) -- that reach nothing yet

-- What requests of a rule have to meet so that one of the step's matches is met, too. An empty list: nothing; nil: none does.
local function together(rule, taker)
  local matches, any = {}, false
  local own = rule.match and #rule.match > 0 and rule.match or { {} }
  for step, match in ipairs(obj.matches) do
    for _, m in ipairs(own) do
      for _, uri in ipairs(match.path and uris(match.path) or { false }) do
        local narrow = narrowed(m, match, uri, rule.rewrite)
        if narrow then
          table.insert(matches, narrow)
          any = any or next(narrow) == nil
          local by = not reached[step] and taker(narrow)
          if by then
            taken[step] = taken[step] or { by = by, match = narrow }
          elseif not reached[step] then
            reached[step], left = true, left - 1
          end
        end
      end
    end
  end
  if any then
    return {}
  end
  return #matches > 0 and matches or nil
end

-- The rule for requests of another rule that match: all that it has, but for the canary in place of the stable Service. Routes
-- to several subsets of that become one, where they have nothing else of their own.
local function forMatches(rule, taker)
  added = isAdded(rule)
  local matches = together(rule, taker)
  if not matches then
    return nil
  end
  local r = copy(rule)
  r.match, r.route = #matches > 0 and matches or nil, {}
  if r.name then
    r.name = r.name .. "-canary"
  end
  local join, own = joiner(), headers()
  for _, route in ipairs(rule.route) do
    local other = isStable(route) and join(instead(route, own)) or not isStable(route) and copy(route)
    if other then
      table.insert(r.route, other)
    end
  end
  return r
end

-- A step promises all of its matches, and would else count as done with no request at the new version.
local function checkMatches()
  for step in ipairs(obj.matches) do
    local by = taken[step]
    if not reached[step] and by then
      error("match " .. step .. " of the step would route no request to the new version: " .. by.by .. " takes precedence for all requests with " .. json.encode(by.match)
        .. "; match something else in the step, or make " .. by.by .. " more specific", 0)
    elseif not reached[step] then
      error("no request satisfies both match " .. step .. " of the step and one of a rule that routes to Service " .. obj.stableService, 0)
    end
  end
end

local function addMatches()
  local rules, found, any = {}, false, false
  local before, taker = order("http")
  for _, rule in ipairs(spec.http or {}) do
    local ours = leads(rule) and forMatches(rule, taker)
    found = found or leads(rule)
    if ours then
      any = true
      table.insert(rules, ours)
    end
    table.insert(rules, rule)
    if left > 0 then
      table.insert(before, rule)
    end
  end
  if not found then
    error("no http rule routes to Service " .. obj.stableService .. "; matches need such a rule", 0)
  elseif not any then
    error("no request satisfies both a match of the step and one of a rule that routes to Service " .. obj.stableService, 0)
  end
  checkMatches()
  spec.http = rules
end

local function divisor(a, b)
  while b ~= 0 do
    local rest = a % b -- "a, b = b, a % b" goes wrong in gopher-lua: TestGolden/custom/istio-weight
    a = b
    b = rest
  end
  return a
end

-- False: none of the stable Service's requests are routed by this rule. Every tls rule has a match: by it Istio distinguishes hosts.
local function divide(rule, canary, protocol)
  if protocol ~= "tls" and rule.match and #rule.match > 0 or not leads(rule) then
    return false
  end
  local weighted = false
  for _, route in ipairs(rule.route) do
    weighted = weighted or route.weight ~= nil
  end

  -- in hundredths; a rule without weights shares evenly
  local even = 100 % #rule.route == 0 and 100 / #rule.route or 1
  local own = protocol == "http" and headers() or nil -- others have no headers
  local canaries, join = {}, joiner()
  for _, route in ipairs(rule.route) do
    local weight = #rule.route > 1 and route.weight or (weighted and #rule.route > 1 and 0 or even)
    if isStable(route) then
      local c = instead(route, own)
      c.weight = weight * canary
      canaries[#canaries + 1] = join(c)
      route.weight = weight * (100 - canary)
    else
      route.weight = weight * 100
    end
  end
  for _, c in ipairs(canaries) do
    table.insert(rule.route, c)
  end
  local common = 100
  for _, route in ipairs(rule.route) do
    common = divisor(common, route.weight)
  end
  for _, route in ipairs(rule.route) do
    route.weight = route.weight / common
  end
  return true
end

-- Whether a request reaches a rule, or else by which one before that is.
local function isReached(rule, taker)
  local by
  for _, match in ipairs(rule.match and #rule.match > 0 and rule.match or { {} }) do
    by = taker(match)
    if not by then
      return true
    end
  end
  return false, by
end

local function addWeight()
  local canary = obj.canaryWeight
  if canary == -1 then
    canary = 100
  end
  local found, changed, got, by = false, false, false, nil
  for _, protocol in ipairs({ "http", "tcp", "tls" }) do
    local before, taker = order(protocol)
    for _, rule in ipairs(spec[protocol] or {}) do
      local divided = divide(rule, canary, protocol)
      found, changed = found or divided, changed or divided and protocol == "http"
      if divided and not got then
        got, by = isReached(rule, taker)
      end
      if not got then
        table.insert(before, rule)
      end
    end
  end
  if found and not changed and headers() then
    error("only rules of tcp or tls route to Service " .. obj.stableService .. ", and they have no headers to change; leave requestHeaderModifier out", 0)
  elseif not found then -- or else a step would count as done with no request at the new version
    error("no rule without match routes to Service " .. obj.stableService .. "; a weight needs such a rule", 0)
  elseif not got then
    error("no request reaches a rule of Service " .. obj.stableService .. " that can have weights: " .. by .. " takes precedence for all its requests; make " .. by .. " more specific, or move it behind", 0)
  end
end

if obj.matches and #obj.matches > 0 then
  addMatches()
else
  addWeight()
end

return obj.data
