--- What the server is doing, kept up to date from $/progress and from its own status.

local server = require('completion_server.server')

local M = {}

---@class completion_server.Status
---@field state 'stopped'|'loading'|'ready'|'paused'|'error'
---@field message string
---@field percentage? integer Of loading.
---@field model_name? string

---@type completion_server.Status
M.current = { state = 'stopped', message = '' }

---@param status completion_server.Status
local function set(status)
  M.current = status
  vim.cmd.redrawstatus()
end

--- Takes over the result of the server's status, pause or resume.
---@param result table
function M.take(result)
  set({ state = result.state, message = result.message or '', model_name = result.model_name })
end

--- Asks; with `wait`, the answer comes when the model is loaded or could not be.
---@param wait? boolean
function M.refresh(wait)
  server.execute('status', { wait = wait or false }, M.take)
end

---@param event table of LspProgress
local function on_progress(event)
  local client, value = server.client(), event.data.params and event.data.params.value
  if not client or client.id ~= event.data.client_id or type(value) ~= 'table' then
    return
  end
  if value.kind == 'end' then
    return M.refresh(true)
  end
  local message = value.message or value.title or ''
  set({ state = 'loading', message = message, percentage = value.percentage })
end

--- The server is there.
function M.on_start()
  if M.current.state == 'stopped' then
    set({ state = 'loading', message = '' })
    M.refresh(true)
  end
end

--- The server is gone.
function M.on_stop()
  set({ state = 'stopped', message = '' })
end

function M.watch()
  local group = vim.api.nvim_create_augroup('completion_server.status', {})
  vim.api.nvim_create_autocmd('LspProgress', { group = group, callback = on_progress })
end

return M
