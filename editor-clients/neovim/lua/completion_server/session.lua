--- The client for Neovim 0.10 and 0.11: when to ask, what is shown, accepting it.

local ghost = require('completion_server.ghost')
local position = require('completion_server.position')
local reports = require('completion_server.reports')
local requests = require('completion_server.requests')
local suggestion = require('completion_server.suggestion')

local M = {}

local INVOKED, AUTOMATIC = 1, 2

---@class completion_server.SessionState
---@field bufnr integer? The buffer that shows a suggestion.
---@field suggestions completion_server.Suggestion[] The shown one and its alternatives.
---@field index integer Which one is shown.
---@field is_scheduled boolean Whether a request goes out at the end of this turn of the event loop.
local state = { suggestions = {}, index = 1, is_scheduled = false }

local group = vim.api.nvim_create_augroup('completion_server.session', {})

---@type table<integer, integer> buffer to client id
local attached = {}

---@return vim.lsp.Client?
local function client_here()
  local id = attached[vim.api.nvim_get_current_buf()]
  return id and vim.lsp.get_client_by_id(id)
end

local function hide()
  if state.bufnr then
    ghost.hide(state.bufnr)
  end
  state.bufnr, state.suggestions, state.index = nil, {}, 1
end

--- The shown suggestion and what is left of it at the cursor, by the text as it is now.
---@return completion_server.Suggestion?
---@return string? rest
local function shown()
  if not state.bufnr or state.bufnr ~= vim.api.nvim_get_current_buf() then
    return nil
  end
  local row, column = position.cursor()
  local found = state.suggestions[state.index]
  local rest = found and suggestion.rest(found, state.bufnr, row, column)
  if rest and rest ~= '' then
    return found, rest
  end
end

local function draw()
  local found, rest = shown()
  if found and rest then
    local row, column = position.cursor()
    ghost.show(row, column, rest, suggestion.replaced(found))
    reports.shown(found.client_id, found.item)
  end
end

--- Leaves those suggestions that the text still agrees with, and shows the first of them.
local function follow_text()
  if not state.bufnr then
    return
  end
  local row, column = position.cursor()
  local is_here = state.bufnr == vim.api.nvim_get_current_buf()
  local kept, index = {}, 1
  for number, candidate in ipairs(is_here and state.suggestions or {}) do
    local rest = suggestion.rest(candidate, state.bufnr, row, column)
    if rest and rest ~= '' then
      kept[#kept + 1] = candidate
      index = number == state.index and #kept or index
    end
  end
  if #kept == 0 then
    return hide()
  end
  state.suggestions, state.index = kept, index
  draw()
end

---@param suggestions completion_server.Suggestion[]
---@param index integer
local function show(suggestions, index)
  if #suggestions == 0 then
    return hide()
  end
  state.bufnr = vim.api.nvim_get_current_buf()
  state.suggestions, state.index = suggestions, index
  draw()
end

--- A reply to what typing asked for. While the user types along a suggestion it only ever gets longer.
---@param suggestions completion_server.Suggestion[]
local function on_automatic_reply(suggestions)
  local _, rest = shown()
  if rest then
    local row, column = position.cursor()
    local new = suggestions[1] and suggestion.rest(suggestions[1], state.bufnr, row, column)
    if not new or not vim.startswith(new, rest) then
      return
    end
  end
  show(suggestions, 1)
end

local function ask_automatically()
  state.is_scheduled = false
  local client = client_here()
  local is_insert = vim.api.nvim_get_mode().mode:sub(1, 1) == 'i'
  if client and is_insert and vim.fn.pumvisible() == 0 then
    requests.ask(client, AUTOMATIC, on_automatic_reply)
  end
end

local function on_text_changed()
  requests.cancel_outdated()
  if vim.fn.pumvisible() == 1 then
    return hide()
  end
  follow_text()
  if not state.is_scheduled and require('completion_server.config').options.automatic then
    state.is_scheduled = true
    vim.schedule(ask_automatically)
  end
end

local function on_cursor_moved()
  requests.cancel_outdated()
  follow_text()
end

--- Whether there is a suggestion to accept.
---@return boolean
function M.is_visible()
  return shown() ~= nil
end

--- Hides the suggestion and cancels the request for another.
function M.dismiss()
  requests.cancel()
  hide()
end

--- The same, because the user says so.
function M.reject()
  local found = shown()
  if found then
    reports.rejected(found.client_id, found.item)
  end
  M.dismiss()
end

---@param choose fun(rest: string): string
---@return boolean was_accepted
local function accept(choose)
  local found, rest = shown()
  if not found or not rest then
    return false
  end
  local part = choose(rest)
  suggestion.insert(found, part, part == rest)
  local taken = found.text:sub(1, #found.text - #rest + #part)
  reports.accepted(found.client_id, found.item, vim.fn.strchars(taken), part == rest, state.bufnr)
  if part == rest then
    M.dismiss()
  else
    follow_text()
  end
  return true
end

---@return boolean was_accepted
function M.accept()
  return accept(function(rest)
    return rest
  end)
end

---@return boolean was_accepted
function M.accept_word()
  return accept(suggestion.first_word)
end

---@return boolean was_accepted
function M.accept_line()
  return accept(suggestion.first_line)
end

--- Shows another alternative; asks for them first when there is at most one.
---@param step 1|-1
function M.cycle(step)
  local found, rest = shown()
  if found and #state.suggestions > 1 then
    state.index = (state.index + step - 1) % #state.suggestions + 1
    return draw()
  end
  local client = client_here()
  if not client then
    return
  end
  requests.ask(client, INVOKED, function(suggestions)
    if #suggestions == 0 then
      return
    end
    local index = step == 1 and 1 or #suggestions
    local row, column = position.cursor()
    local first = suggestion.rest(suggestions[index], vim.api.nvim_get_current_buf(), row, column)
    if first == rest then -- what is shown already
      index = (index + step - 1) % #suggestions + 1
    end
    show(suggestions, index)
  end)
end

--- Watches a buffer.
---@param client vim.lsp.Client
---@param bufnr integer
function M.attach(client, bufnr)
  M.detach(bufnr)
  attached[bufnr] = client.id
  local function on(events, callback)
    vim.api.nvim_create_autocmd(events, { group = group, buffer = bufnr, callback = callback })
  end
  on({ 'TextChangedI', 'TextChangedP', 'InsertEnter' }, on_text_changed)
  on('CursorMovedI', on_cursor_moved)
  on({ 'InsertLeave', 'BufLeave', 'WinLeave' }, M.dismiss)
end

--- Watches a buffer no longer.
---@param bufnr integer
function M.detach(bufnr)
  if attached[bufnr] then
    attached[bufnr] = nil
    vim.api.nvim_clear_autocmds({ group = group, buffer = bufnr })
  end
  if state.bufnr == bufnr then
    M.dismiss()
  end
end

return M
