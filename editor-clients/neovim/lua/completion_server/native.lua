--- Neovim 0.12's own client, vim.lsp.inline_completion, with the actions it does not have itself.

local position = require('completion_server.position')
local reports = require('completion_server.reports')
local suggestion = require('completion_server.suggestion')

local M = {}

local METHOD = 'textDocument/inlineCompletion'
local NAMESPACE = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')

---@param _client vim.lsp.Client
---@param bufnr integer
function M.attach(_client, bufnr)
  vim.lsp.inline_completion.enable(true, { bufnr = bufnr })
end

---@param _bufnr integer
function M.detach(_bufnr) end

---@return boolean
function M.is_visible()
  return #vim.api.nvim_buf_get_extmarks(0, NAMESPACE, 0, -1, { limit = 1 }) > 0
end

--- Takes a part of the item, allowing for what was typed since the item came.
---@param item table a vim.lsp.inline_completion.Item
---@param choose fun(rest: string): string
local function insert(item, choose)
  local row, column = position.cursor()
  local range = { row = row, column = column, end_row = row, end_column = column }
  if item.range then
    range.row, range.column, range.end_row, range.end_column = item.range:to_extmark()
    if range.end_row == row then
      range.end_column = math.max(range.end_column, column)
    end
  end
  local found = suggestion.new(0, item.insert_text, range, row, column)
  local rest = found and suggestion.rest(found, 0, row, column)
  if found and rest then
    local part = choose(rest)
    suggestion.insert(found, part, part == rest)
    local taken = found.text:sub(1, #found.text - #rest + #part)
    local is_all = part == rest
    local sent = { insertText = item.insert_text, command = item.command }
    reports.accepted(item.client_id, sent, vim.fn.strchars(taken), is_all, 0)
  end
end

---@param choose fun(rest: string): string
---@return boolean
local function accept(choose)
  return vim.lsp.inline_completion.get({
    on_accept = function(item)
      if type(item.insert_text) ~= 'string' then
        return item
      end
      insert(item, choose)
    end,
  })
end

---@return boolean
function M.accept()
  return accept(function(rest)
    return rest
  end)
end

---@return boolean
function M.accept_word()
  return accept(suggestion.first_word)
end

---@return boolean
function M.accept_line()
  return accept(suggestion.first_line)
end

---@param step 1|-1
function M.cycle(step)
  vim.lsp.inline_completion.select({ count = step })
end

--- Neovim has no dismiss; switching off and on again forgets the suggestion until the next key. The request under
--- way has to be cancelled as well: its reply would be shown.
function M.dismiss()
  local bufnr = vim.api.nvim_get_current_buf()
  for _, client in ipairs(vim.lsp.get_clients({ bufnr = bufnr, method = METHOD })) do
    for id, request in pairs(client.requests) do
      if request.type == 'pending' and request.bufnr == bufnr and request.method == METHOD then
        client:cancel_request(id)
      end
    end
  end
  vim.lsp.inline_completion.enable(false, { bufnr = bufnr })
  vim.lsp.inline_completion.enable(true, { bufnr = bufnr })
end

return M
