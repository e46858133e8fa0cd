--- Asks the server for suggestions at the cursor; at most one request is under way.

local lsp_client = require('completion_server.client')
local position = require('completion_server.position')
local suggestion = require('completion_server.suggestion')

local M = {}

local METHOD = 'textDocument/inlineCompletion'

---@class completion_server.Request
---@field client vim.lsp.Client
---@field id integer?
---@field bufnr integer
---@field tick integer
---@field row integer
---@field column integer

---@type completion_server.Request?
local current

--- Cancels the request under way, if there is one.
function M.cancel()
  local request = current
  current = nil
  if request and request.id and not request.client:is_stopped() then
    lsp_client.cancel(request.client, request.id)
  end
end

--- Whether the text and the cursor are what the request was made for.
---@param request completion_server.Request
---@return boolean
local function is_up_to_date(request)
  if vim.api.nvim_get_current_buf() ~= request.bufnr or vim.api.nvim_get_mode().mode:sub(1, 1) ~= 'i' then
    return false
  end
  local row, column = position.cursor()
  local tick = vim.api.nvim_buf_get_changedtick(request.bufnr)
  return tick == request.tick and row == request.row and column == request.column
end

--- Cancels the request under way when it is not for the text and the cursor as they are.
function M.cancel_outdated()
  if current and not is_up_to_date(current) then
    M.cancel()
  end
end

---@param request completion_server.Request
---@param item table an InlineCompletionItem
---@return completion_server.Suggestion?
local function read_item(request, item)
  local text = item.insertText
  if type(text) ~= 'string' or text == '' then
    return nil -- a snippet: never asked for
  end
  local row, column = request.row, request.column
  local range = { row = row, column = column, end_row = row, end_column = column }
  if item.range then
    local encoding = request.client.offset_encoding
    range.row, range.column = position.from_lsp(request.bufnr, item.range.start, encoding)
    range.end_row, range.end_column = position.from_lsp(request.bufnr, item.range['end'], encoding)
  end
  local found = suggestion.new(request.bufnr, text, range, row, column)
  if found then
    found.item, found.client_id = item, request.client.id
  end
  return found
end

---@param request completion_server.Request
---@param result table?
---@return completion_server.Suggestion[]
local function read_reply(request, result)
  local suggestions = {}
  for _, item in ipairs(result and (result.items or result) or {}) do
    suggestions[#suggestions + 1] = read_item(request, item)
  end
  return suggestions
end

--- Asks for the place of the cursor; what was under way is cancelled. `on_reply` is called only while text and
--- cursor are still the same.
---@param client vim.lsp.Client
---@param kind integer 1: asked for by hand, 2: automatic
---@param on_reply fun(suggestions: completion_server.Suggestion[])
function M.ask(client, kind, on_reply)
  M.cancel()
  local bufnr = vim.api.nvim_get_current_buf()
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = kind }
  local row, column = position.cursor()
  local tick = vim.api.nvim_buf_get_changedtick(bufnr)
  ---@type completion_server.Request
  local request = { client = client, bufnr = bufnr, tick = tick, row = row, column = column }
  current = request
  local _, id = lsp_client.request(client, METHOD, params, function(err, result)
    if current ~= request then
      return
    end
    current = nil
    if not err and is_up_to_date(request) then
      on_reply(read_reply(request, result))
    end
  end, bufnr)
  request.id = id
end

return M
