--- Calls of an LSP client whose form differs between Neovim 0.10 (functions) and later (methods).

local M = {}

local IS_FUNCTIONS = vim.fn.has('nvim-0.11') == 0

---@param client vim.lsp.Client
---@param method string
---@param params table
---@param handler lsp.Handler
---@param bufnr integer
---@return boolean was_sent
---@return integer? id
function M.request(client, method, params, handler, bufnr)
  if IS_FUNCTIONS then
    return client.request(method, params, handler, bufnr) ---@diagnostic disable-line
  end
  return client:request(method, params, handler, bufnr)
end

---@param client vim.lsp.Client
---@param method string
---@param params table
function M.notify(client, method, params)
  if IS_FUNCTIONS then
    client.notify(method, params) ---@diagnostic disable-line
  else
    client:notify(method, params)
  end
end

---@param client vim.lsp.Client
---@return boolean
function M.is_stopped(client)
  if IS_FUNCTIONS then
    return client.is_stopped() ---@diagnostic disable-line
  end
  return client:is_stopped()
end

---@param client vim.lsp.Client
---@param id integer
function M.cancel(client, id)
  if IS_FUNCTIONS then
    client.cancel_request(id) ---@diagnostic disable-line
  else
    client:cancel_request(id)
  end
end

---@param client vim.lsp.Client
---@param force? boolean
function M.stop(client, force)
  if IS_FUNCTIONS then
    client.stop(force) ---@diagnostic disable-line
  else
    client:stop(force)
  end
end

return M
