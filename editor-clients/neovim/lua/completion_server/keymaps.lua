--- Keys of insert mode. A key that has nothing to do here does what it did before.

local config = require('completion_server.config')

local M = {}

---@type table<string, table> key to the mapping it had, as of maparg()
local earlier = {}

local ACTIONS_ON_SUGGESTION = { 'accept', 'accept_word', 'accept_line', 'dismiss' }
local ACTIONS_ALWAYS = { 'next', 'previous' }

---@param keys string
---@return string
local function raw(keys)
  return vim.api.nvim_replace_termcodes(keys, true, true, true)
end

---@param action string
---@return string
local function call(action)
  return raw(("<Cmd>lua require('completion_server').%s()<CR>"):format(action))
end

--- Runs the callback of a mapping that is no expression.
---@param key string
function M.run_earlier(key)
  earlier[key].callback()
end

--- The keys that an expression mapping gives: a callback may give nothing, an expression a number.
---@param mapping table
---@return string
local function eval(mapping)
  local result
  if mapping.callback then
    result = mapping.callback()
  else
    result = vim.api.nvim_eval(mapping.rhs)
  end
  local keys = result and tostring(result) or ''
  return mapping.replace_keycodes == 1 and raw(keys) or keys
end

--- What to type instead for a key that had a mapping.
---@param key string
---@return string
local function earlier_keys(key)
  local mapping = earlier[key]
  if not mapping then
    return raw(key)
  end
  local keys = mapping.rhs
  if mapping.expr == 1 then
    keys = eval(mapping)
  elseif mapping.callback then
    return raw(('<Cmd>lua require("completion_server.keymaps").run_earlier(%q)<CR>'):format(key:gsub('<', '<lt>')))
  else
    keys = raw(keys)
  end
  if mapping.noremap == 1 then
    return keys
  end
  vim.api.nvim_feedkeys(keys, 'im', false)
  return ''
end

---@param key string
local function remember(key)
  local mapping = vim.fn.maparg(key, 'i', false, true)
  local is_ours = mapping.desc and vim.startswith(mapping.desc, 'completion_server:')
  if not is_ours then
    earlier[key] = not vim.tbl_isempty(mapping) and mapping or nil
  end
end

---@param key string|false
---@param action string
---@param is_conditional boolean
local function map(key, action, is_conditional)
  if not key or key == '' then
    return
  end
  remember(key)
  vim.keymap.set('i', key, function()
    local completion = require('completion_server')
    if is_conditional and not completion.is_visible() then
      if action == 'dismiss' then
        completion.dismiss() -- there may be a request under way
      end
      return earlier_keys(key)
    end
    local breaks_undo = vim.startswith(action, 'accept')
    return (breaks_undo and raw('<C-g>u') or '') .. call(action)
  end, { expr = true, replace_keycodes = false, desc = 'completion_server: ' .. action })
end

--- Maps the keys of the options.
function M.create()
  local keys = config.options.keymaps
  for _, action in ipairs(ACTIONS_ON_SUGGESTION) do
    map(keys[action], action, true)
  end
  for _, action in ipairs(ACTIONS_ALWAYS) do
    map(keys[action], action, false)
  end
end

return M
