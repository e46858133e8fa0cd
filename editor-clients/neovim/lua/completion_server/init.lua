--- Inline completion by completion-server. `require('completion_server').setup()` is all there is to do.

local config = require('completion_server.config')

local M = {}

--- The client that shows suggestions: Neovim's own or ours; both have the same functions.
local function engine()
  return require(config.is_native() and 'completion_server.native' or 'completion_server.session')
end

---@param event table of LspAttach
local function on_attach(event)
  local client = vim.lsp.get_client_by_id(event.data.client_id)
  if client and client.name == require('completion_server.server').NAME then
    engine().attach(client, event.buf)
    require('completion_server.status').on_start()
  end
end

---@param event table of LspDetach
local function on_detach(event)
  local client = vim.lsp.get_client_by_id(event.data.client_id)
  if client and client.name == require('completion_server.server').NAME then
    engine().detach(event.buf)
    vim.schedule(function()
      local server = require('completion_server.server')
      if not server.client() then
        require('completion_server.status').on_stop()
      end
    end)
  end
end

---@param options? completion_server.Config
function M.setup(options)
  if vim.fn.has('nvim-0.10') == 0 then
    vim.notify_once('completion_server: Neovim 0.10 or later is needed', vim.log.levels.ERROR)
    return
  end
  config.merge(options)
  local ghost = require('completion_server.ghost')
  ghost.define_highlights()
  local group = vim.api.nvim_create_augroup('completion_server', {})
  vim.api.nvim_create_autocmd('ColorScheme', { group = group, callback = ghost.define_highlights })
  vim.api.nvim_create_autocmd('LspAttach', { group = group, callback = on_attach })
  vim.api.nvim_create_autocmd('LspDetach', { group = group, callback = on_detach })
  require('completion_server.command').create()
  require('completion_server.keymaps').create()
  require('completion_server.status').watch()
  require('completion_server.server').enable()
end

--- Whether a suggestion is shown that could be accepted.
---@return boolean
function M.is_visible()
  return engine().is_visible()
end

--- Accepts the suggestion; false when there is none.
---@return boolean
function M.accept()
  return engine().accept()
end

--- Accepts the next word of the suggestion; false when there is none.
---@return boolean
function M.accept_word()
  return engine().accept_word()
end

--- Accepts the rest of the suggestion's line, or its next line; false when there is none.
---@return boolean
function M.accept_line()
  return engine().accept_line()
end

--- Shows the next alternative, and asks for alternatives when there are none yet.
function M.next()
  engine().cycle(1)
end

--- Shows the previous alternative, and asks for alternatives when there are none yet.
function M.previous()
  engine().cycle(-1)
end

--- Hides the suggestion until the next key.
function M.dismiss()
  local used = engine()
  local dismiss = used.reject or used.dismiss
  dismiss()
end

return M
