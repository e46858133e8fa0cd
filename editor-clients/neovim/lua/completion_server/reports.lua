--- Tells the server what becomes of an item: shown, accepted, accepted in part, sent away. It counts that for
--- `completion-server stats`, on this machine; what is replaced by something else it sees itself. Only of items that
--- carry a command: without one (`log.acceptance` is off) nobody wants to know.

local lsp_client = require('completion_server.client')

local M = {}

---@type any The key of the item reported last: while it is typed along the same one comes again and again.
local last_shown

---@param item table an InlineCompletionItem
---@return any
local function key_of(item)
  return type(item.command) == 'table' and (item.command.arguments or {})[1]
end

---@param client_id integer
---@return vim.lsp.Client?
local function running(client_id)
  local client = vim.lsp.get_client_by_id(client_id)
  return client and not lsp_client.is_stopped(client) and client or nil
end

--- The item is on the screen.
---@param client_id integer
---@param item table
function M.shown(client_id, item)
  local key, client = key_of(item), running(client_id)
  if client and key and key ~= last_shown then
    last_shown = key
    lsp_client.notify(client, 'textDocument/didShowCompletion', { item = item })
  end
end

--- The user sent the item away.
---@param client_id integer
---@param item table
function M.rejected(client_id, item)
  local client = running(client_id)
  if client and key_of(item) then
    lsp_client.notify(client, 'textDocument/didRejectCompletion', { item = item })
  end
end

--- The text was taken over up to its character `num_chars` (Unicode code points), or as a whole.
---@param client_id integer
---@param item table
---@param num_chars integer
---@param is_all boolean
---@param bufnr integer
function M.accepted(client_id, item, num_chars, is_all, bufnr)
  local client = running(client_id)
  if not client or not key_of(item) then
    return
  end
  if not is_all then
    local params = { item = item, acceptedLength = num_chars }
    lsp_client.notify(client, 'textDocument/didPartiallyAcceptCompletion', params)
    return
  end
  local params = { command = item.command.command, arguments = item.command.arguments }
  lsp_client.request(client, 'workspace/executeCommand', params, function() end, bufnr)
end

return M
