-- Server side: builds an arena when told to, and logs what happened as one line of JSON after "@S " (see game.py).
-- In: command.json in the world's folder: {"build": {"number", "seed", "errand", "scene"}}, and once the client has all of
-- that arena {"enter": true}. Out: "@R {...}" when the arena stands, "@S {"events", "inventory"}" when something was dug,
-- placed, picked up.
local folder = minetest.get_modpath("grove")
local arena = dofile(folder .. "/arena.lua")
local COMMAND = minetest.get_worldpath() .. "/command.json"
local HOTBAR = {"default:axe_diamond", "default:pick_diamond", "default:shovel_diamond", "default:cobble 99", "default:wood 99"}
local WALLS = {"default_stone_brick.png", "default_desert_stone_brick.png", "default_sandstone_brick.png", "default_pine_wood.png"}
local events, carried, ready, entrance = {}, {}, false, nil

local function solid(name, texture)
  minetest.register_node("grove:" .. name, {tiles = {texture}, sunlight_propagates = false, diggable = false,
    on_blast = function() end})
end

solid("bedrock", "default_obsidian.png")
solid("marker", "default_obsidian.png")
for i, texture in ipairs(WALLS) do solid("wall_" .. i, texture) end
minetest.register_node("grove:barrier", {drawtype = "airlike", paramtype = "light", sunlight_propagates = true,
  pointable = false, diggable = false})

binoculars.update_player_property = function() end -- it would take the player's zoom away again (see tick/init.lua)

-- Tools that dig in well under a second and never wear out: `uses = 0`.
local function quick(tool, group, seconds)
  minetest.override_item("default:" .. tool, {tool_capabilities = {full_punch_interval = 0.9, max_drop_level = 3,
    groupcaps = {[group] = {times = {seconds, seconds, seconds}, uses = 0, maxlevel = 1}}}})
end
quick("axe_diamond", "choppy", 0.6)
quick("pick_diamond", "cracky", 0.7)
quick("shovel_diamond", "crumbly", 0.45)

local function note(kind, node, at)
  table.insert(events, {kind = kind, node = node, position = {at.x, at.y, at.z}})
end
minetest.register_on_dignode(function(at, node) note("dig", node.name, at) end)
minetest.register_on_placenode(function(at, node) note("place", node.name, at) end)

local function count_items(player)
  local counts = {}
  for _, stack in ipairs(player:get_inventory():get_list("main")) do
    if not stack:is_empty() then counts[stack:get_name()] = (counts[stack:get_name()] or 0) + stack:get_count() end
  end
  return counts
end

local function equip(player)
  local inventory = player:get_inventory()
  for _, list in ipairs({"main", "craft"}) do inventory:set_list(list, {}) end
  for slot, item in ipairs(HOTBAR) do inventory:set_stack("main", slot, item) end
  carried = count_items(player)
end

local function clear_objects()
  for _, object in ipairs(minetest.get_objects_inside_radius({x = 0, y = arena.GROUND, z = 0}, 60)) do
    if not object:is_player() then object:remove() end
  end
end

local function send_player(player, place, weight)
  player:set_physics_override({gravity = weight, speed = weight, jump = weight})
  player:add_velocity(-player:get_velocity())
  player:set_pos({x = place.at[1], y = place.at[2], z = place.at[3]})
  player:set_look_horizontal(-math.rad(place.yaw_deg) % (2 * math.pi))
  player:set_look_vertical(math.rad(place.pitch_deg))
end

-- The player hangs outside, weightless, with the whole arena in sight (the server sends no other map blocks), until the
-- client has all of it.
local function build(player, order)
  minetest.close_formspec(player:get_player_name(), "")
  clear_objects()
  local made = arena.build(order.number, order.seed, order.scene == "moved-things")
  local at, yaw_deg, target = arena.spawn(made, order.errand, order.seed)
  entrance = {at = at, yaw_deg = yaw_deg, pitch_deg = 5}
  local dusk = order.scene == "other-time-of-day"
  minetest.set_timeofday(dusk and 0.785 + (order.seed % 21) / 2000 or 0.4 + (order.seed % 21) / 100)
  send_player(player, {at = {-28, 22, -28}, yaw_deg = 45, pitch_deg = 18}, 0)
  made.number, made.target, made.spawn, made.spawn_yaw_deg = order.number, target, at, yaw_deg
  minetest.log("action", "@R " .. minetest.write_json({arena = made, inventory = carried}))
end

local function enter(player)
  clear_objects()
  equip(player)
  send_player(player, entrance, 1)
  events = {}
  minetest.log("action", "@S " .. minetest.write_json({inventory = carried}))
end

local function poll(player)
  local file = io.open(COMMAND)
  if not file then return end
  local command = minetest.parse_json(file:read("*a"))
  file:close()
  os.remove(COMMAND)
  if command.build then build(player, command.build) else enter(player) end
end

local function report(player)
  local counts, changed = count_items(player), #events > 0
  for item, count in pairs(counts) do
    if count > (carried[item] or 0) then note("pickup", item, player:get_pos()) end
    changed = changed or count ~= carried[item]
  end
  for item in pairs(carried) do changed = changed or not counts[item] end
  carried = counts
  if changed then minetest.log("action", "@S " .. minetest.write_json({events = #events > 0 and events or nil, inventory = counts})) end
  events = {}
end

minetest.register_on_joinplayer(function(player)
  player:hud_set_flags({healthbar = false, breathbar = false, minimap = false})
  player:set_armor_groups({immortal = 1})
  player:set_properties({zoom_fov = 72}) -- as wide as without: the zoom key is only a signal (see tick/init.lua)
  local low, high = arena.area()
  minetest.emerge_area(low, high, function(_, _, remaining)
    if remaining == 0 then ready = true end
  end)
end)

minetest.register_globalstep(function()
  local player = minetest.get_connected_players()[1]
  if not player or not ready then return end
  poll(player)
  report(player)
end)
