--- What a user can set: one table of defaults, merged once by `setup`.

local log = require('completion_server.log')

local M = {}

---@class completion_server.Keymaps Insert mode keys; false leaves a key alone.
---@field accept? string|false The whole suggestion; without one the key does what it did before.
---@field accept_word? string|false Its next word.
---@field accept_line? string|false The rest of its line, or its next line.
---@field next? string|false The next of up to three alternatives; asks for them when there are none yet.
---@field previous? string|false The previous alternative.
---@field dismiss? string|false Hide the suggestion and cancel the request.

---@class completion_server.Config
---@field cmd? string[]|false The server's command; false: the workspace's .venv, then PATH.
---@field workspace_server? boolean Whether the workspace's .venv may have it; Neovim asks before the first use.
---@field filetypes? string[]|false Only these file types; false: all.
---@field root_markers? string[] Files that mark the root of a workspace.
---@field settings? table The server's settings, as in its README: { model = { name = '...' } }.
---@field client? 'auto'|'native'|'own' native: vim.lsp.inline_completion; auto: native from Neovim 0.12 on.
---@field automatic? boolean Whether typing asks; if not, only the keys of next and previous do (own client).
---@field keymaps? completion_server.Keymaps

---@type completion_server.Config
M.defaults = {
  cmd = false,
  workspace_server = true,
  filetypes = false,
  root_markers = { '.completion-server.toml', '.git', 'pyproject.toml', 'package.json', 'Cargo.toml', 'go.mod' },
  settings = {},
  client = 'auto',
  automatic = true,
  keymaps = {
    accept = '<Tab>',
    accept_word = '<M-Right>',
    accept_line = '<M-Down>',
    next = '<M-]>',
    previous = '<M-[>',
    dismiss = '<C-]>',
  },
}

---@type completion_server.Config
M.options = M.defaults

---@param options? completion_server.Config
---@return completion_server.Config
function M.merge(options)
  options = options or {}
  for name in pairs(options) do
    if M.defaults[name] == nil then
      log.notify(('completion_server: there is no option %q'):format(name), log.WARNING)
    end
  end
  M.options = vim.tbl_deep_extend('force', vim.deepcopy(M.defaults), options)
  return M.options
end

---@return boolean
function M.is_native()
  local is_there = vim.lsp.inline_completion ~= nil
  return M.options.client == 'native' or (M.options.client == 'auto' and is_there)
end

return M
