-- The arena: everything that stands in it is chosen by one random generator, so the same seed gives the same place.
-- In: a number of the rebuild, a seed. Out: where things are (info["arena"]). y is a node's own height; the ground's top
-- node is at GROUND, so feet stand at GROUND + 0.5. The arena fills 2 x 2 map blocks exactly, one layer high: few meshes.
local arena = {SIDE = 16, GROUND = 8, TOP = 31}
local SIDE, GROUND = arena.SIDE, arena.GROUND
local FLOORS = {"default:dirt_with_grass", "default:dirt_with_dry_grass", "default:dirt_with_coniferous_litter",
  "default:dirt_with_rainforest_litter", "default:dirt_with_snow", "default:dry_dirt_with_dry_grass"}
local TREES = {{"default:tree", "default:leaves"}, {"default:jungletree", "default:jungleleaves"},
  {"default:pine_tree", "default:pine_needles"}, {"default:acacia_tree", "default:acacia_leaves"},
  {"default:aspen_tree", "default:aspen_leaves"}}
local SANDS = {"default:sand", "default:desert_sand", "default:silver_sand"}
local STONES = {"default:stone", "default:cobble", "default:mossycobble", "default:desert_stone"}
local STAIRS = {"default:stonebrick", "default:wood", "default:sandstonebrick", "default:brick", "default:pine_wood"}
local FLOWERS = {"rose", "tulip", "dandelion_yellow", "geranium", "viola", "dandelion_white"}
local COLOURS = {"red", "blue", "yellow", "green", "white"}
local WALLS = 4 -- grove:wall_1 .. grove:wall_4

local function area_of()
  return {x = -SIDE, y = 0, z = -SIDE}, {x = SIDE - 1, y = arena.TOP, z = SIDE - 1}
end
arena.area = area_of

-- Painter: writes nodes into one voxel buffer and remembers which columns are taken.
local Painter = {}
Painter.__index = Painter

local function painter(random)
  local low, high = area_of()
  local manip = VoxelManip()
  local emin, emax = manip:read_from_map(low, high)
  return setmetatable({manip = manip, index = VoxelArea:new({MinEdge = emin, MaxEdge = emax}), data = manip:get_data(),
    param2 = manip:get_param2_data(), random = random, taken = {}, start = {x = 0, z = 0}}, Painter)
end

function Painter:set(x, y, z, name, param2)
  local i = self.index:index(x, y, z)
  self.data[i], self.param2[i] = minetest.get_content_id(name), param2 or 0
end

function Painter:fill(x1, y1, z1, x2, y2, z2, name)
  for x = x1, x2 do for y = y1, y2 do for z = z1, z2 do self:set(x, y, z, name) end end end
end

function Painter:pick(list) return list[self.random:next(1, #list)] end

-- A free place for something `radius` wide, kept clear of where the player appears, which is the middle unless it moved.
function Painter:place(radius)
  for try = 1, 400 do
    local gap = try < 200 and 1 or 0
    local reach = SIDE - 3 - math.ceil(radius)
    local x, z = self.random:next(-reach, reach - 1), self.random:next(-reach, reach - 1)
    local free = (x - self.start.x) ^ 2 + (z - self.start.z) ^ 2 > (radius + 2.5) ^ 2
    for _, other in ipairs(self.taken) do
      free = free and (other.x - x) ^ 2 + (other.z - z) ^ 2 > (other.radius + radius + gap) ^ 2
    end
    if free then
      table.insert(self.taken, {x = x, z = z, radius = radius})
      return x, z
    end
  end
end

function Painter:write()
  self.manip:set_data(self.data)
  self.manip:set_param2_data(self.param2)
  self.manip:write_to_map(true)
end

local function floor_and_wall(p, number)
  local floor, wall = p:pick(FLOORS), "grove:wall_" .. p.random:next(1, WALLS)
  local height = p.random:next(2, 4)
  p:fill(-SIDE, 0, -SIDE, SIDE - 1, arena.TOP, SIDE - 1, "air")
  p:fill(-SIDE, 0, -SIDE, SIDE - 1, 3, SIDE - 1, "grove:bedrock")
  p:fill(-SIDE, 4, -SIDE, SIDE - 1, GROUND - 1, SIDE - 1, "default:dirt")
  p:fill(-SIDE, GROUND, -SIDE, SIDE - 1, GROUND, SIDE - 1, floor)
  for i = -SIDE, SIDE - 1 do
    for _, edge in ipairs({{i, -SIDE}, {i, SIDE - 1}, {-SIDE, i}, {SIDE - 1, i}}) do
      p:fill(edge[1], 4, edge[2], edge[1], GROUND + height, edge[2], wall)
      p:fill(edge[1], GROUND + height + 1, edge[2], edge[1], arena.TOP, edge[2], "grove:barrier")
    end
  end
  for x = -SIDE, SIDE - 1, 16 do
    for z = -SIDE, SIDE - 1, 16 do p:set(x, 1, z, "grove:marker", number) end
  end
  return floor
end

local function tree(p)
  local x, z = p:place(1.5)
  if not x then return end
  local kind, trunk = p:pick(TREES), p.random:next(4, 6) -- the leaves begin above the head
  local top = GROUND + trunk
  for y = top - 1, math.min(top + 2, 15) do
    local r = y <= top and 2 or 1
    for dx = -r, r do
      for dz = -r, r do
        local corner = math.abs(dx) == r and math.abs(dz) == r
        if not corner or (r == 2 and p.random:next(1, 3) == 1) then p:set(x + dx, y, z + dz, kind[2]) end
      end
    end
  end
  p:fill(x, GROUND + 1, z, x, top, z, kind[1])
  return {x, GROUND + 1, z}
end

local function heap(p, name)
  local x, z = p:place(1.8)
  if not x then return end
  p:fill(x - 1, GROUND + 1, z - 1, x + 1, GROUND + 1, z + 1, name)
  p:set(x, GROUND + 2, z, name)
  local dx, dz = unpack(p:pick({{1, 0}, {-1, 0}, {0, 1}, {0, -1}}))
  p:set(x + dx, GROUND + 2, z + dz, name)
  return {x, GROUND + 1, z}
end

local function pillar(p, colour)
  local x, z = p:place(1)
  p:fill(x, GROUND + 1, z, x, GROUND + p.random:next(4, 5), z, "wool:" .. colour)
  return {x, GROUND + 1, z}
end

local function pond(p)
  local x, z = p:place(2)
  if not x then return end
  p:fill(x - 1, GROUND, z - 1, x + 1, GROUND, z + 1, "default:water_source")
  if p.random:next(0, 1) == 1 then p:fill(x - 1, GROUND, z + 2, x + 1, GROUND, z + 2, "default:water_source") end
  return {x, GROUND, z}
end

-- Four steps of one node each, two wide, ending in a platform.
local function steps(p)
  local x, z = p:place(3.5)
  local dx, dz = unpack(p:pick({{1, 0}, {-1, 0}, {0, 1}, {0, -1}}))
  local name, course = p:pick(STAIRS), {}
  for i = 1, 5 do
    local cx, cz, height = x + dx * (i - 3), z + dz * (i - 3), math.min(i, 4)
    for side = 0, 1 do
      p:fill(cx + side * dz, GROUND + 1, cz + side * dx, cx + side * dz, GROUND + height, cz + side * dx, name)
    end
    course[i] = {cx, GROUND + height, cz}
  end
  return course
end

local function flowers(p, count)
  local found = {}
  for _ = 1, count do
    local x, z = p:place(0.5)
    if x then
      local node = "flowers:" .. p:pick(FLOWERS)
      p:set(x, GROUND + 1, z, node)
      table.insert(found, {position = {x, GROUND + 1, z}, node = node})
    end
  end
  return found
end

local function several(count, make)
  local found = {}
  for _ = 1, count do
    local one = make() -- nothing when there was no room left
    if one then table.insert(found, one) end
  end
  return found
end

-- A place 8 to 11 m from the middle.
local function away_from_middle(random)
  local angle, far = math.rad(random:next(0, 359)), random:next(80, 110) / 10
  return {x = math.floor(far * math.sin(angle) + 0.5), z = math.floor(far * math.cos(angle) + 0.5)}
end

-- Builds arena `number` (0..255, what the markers carry) from `seed`. moved: the player starts away from the middle.
function arena.build(number, seed, moved)
  local p = painter(PcgRandom(seed))
  if moved then p.start = away_from_middle(PcgRandom(seed + 2)) end
  local floor = floor_and_wall(p, number)
  local random = p.random
  local made = {size = SIDE, ground = GROUND, floor = floor, spawn = {p.start.x, GROUND + 0.5, p.start.z}, pillars = {}}
  made.steps = steps(p)
  for _, colour in ipairs(COLOURS) do made.pillars[colour] = pillar(p, colour) end
  made.trees = several(random:next(4, 6), function() return tree(p) end)
  made.sand = several(random:next(1, 2), function() return heap(p, p:pick(SANDS)) end)
  made.dirt = several(random:next(1, 2), function() return heap(p, "default:dirt") end)
  made.stone = several(random:next(1, 2), function() return heap(p, p:pick(STONES)) end)
  made.water = several(random:next(1, 2), function() return pond(p) end)
  made.flowers = flowers(p, random:next(6, 10))
  for _ = 1, random:next(0, 12) do
    local x, z = p:place(0.5)
    if x then p:set(x, GROUND + 1, z, "default:grass_3") end
  end
  p:write()
  return made
end

-- Where an errand's target is, or nothing when it has none.
local function target_of(made, errand, random)
  local lists = {chop = made.trees, dig_sand = made.sand, dig_dirt = made.dirt, dig_stone = made.stone,
    climb = {made.steps[1]}}
  local colour = errand:match("^go_pillar:(.+)$")
  if colour then return made.pillars[colour] end
  if errand == "pick_flower" then return made.flowers[random:next(1, #made.flowers)].position end
  local list = lists[errand]
  return list and list[random:next(1, #list)]
end

local function clear_column(x, z)
  local floor = minetest.get_node({x = x, y = GROUND, z = z}).name
  return floor ~= "default:water_source" and minetest.get_node({x = x, y = GROUND + 1, z = z}).name == "air"
    and minetest.get_node({x = x, y = GROUND + 2, z = z}).name == "air"
end

-- Whether there is room to stand with nothing right before the eyes.
local function clear_around(x, z)
  for dx = -1, 1 do
    for dz = -1, 1 do
      if not clear_column(x + dx, z + dz) then return false end
    end
  end
  return true
end

-- Whether one could walk and look straight from one place to another, up to the target's own width.
local function clear_line(x, z, target)
  local dx, dz = target[1] - x, target[3] - z
  local far = math.sqrt(dx * dx + dz * dz)
  for d = 0, far - 2, 0.5 do
    if not clear_column(math.floor(x + dx * d / far + 0.5), math.floor(z + dz * d / far + 0.5)) then return false end
  end
  return true
end

-- A place 6 to 9 m from the errand's target with a clear view of it, roughly facing it; else the middle.
function arena.spawn(made, errand, seed)
  local random = PcgRandom(seed + 1)
  local target = errand and target_of(made, errand, random)
  local yaw = random:next(0, 359)
  if made.spawn[1] ~= 0 or made.spawn[3] ~= 0 then -- away from the middle: not with the face to the wall
    yaw = math.deg(math.atan2(-made.spawn[1], -made.spawn[3])) + yaw / 4 - 45
  end
  if not target then return made.spawn, yaw, nil end
  for try = 1, 500 do
    local angle, far = math.rad(random:next(0, 359)), random:next(60, 90) / 10
    local x = math.floor(target[1] + far * math.sin(angle) + 0.5)
    local z = math.floor(target[3] + far * math.cos(angle) + 0.5)
    local inside = math.max(math.abs(x), math.abs(z)) < SIDE - 2
    if inside and clear_around(x, z) and (try > 400 or clear_line(x, z, target)) then
      local facing = math.deg(math.atan2(target[1] - x, target[3] - z))
      return {x, GROUND + 0.5, z}, facing + random:next(-25, 25), target
    end
  end
  return made.spawn, yaw, target
end

return arena
