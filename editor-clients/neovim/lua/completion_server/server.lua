--- Finds the server, starts one for all buffers, and talks to it.

local config = require('completion_server.config')
local log = require('completion_server.log')
local lsp_client = require('completion_server.client')

local M = {}

M.NAME = 'completion_server'

local EXECUTABLE = 'completion-server'
local STOP_TIMEOUT_MS = 3000
local NOT_FOUND = 'completion-server not found: see :checkhealth completion_server'

local CAN_TRUST_FOLDERS = vim.fn.has('nvim-0.11') == 1

---@type table<string, boolean> Virtual environments of workspaces: whether the user trusts them.
local trusted = {}

---@return vim.lsp.Client?
function M.client()
  for _, client in ipairs(vim.lsp.get_clients({ name = M.NAME })) do
    if not client:is_stopped() then
      return client
    end
  end
end

--- Whether the programs of a folder may be run; Neovim asks once and remembers (see :help :trust). It can trust a
--- folder from 0.11 on, before that only a file.
---@param folder string
---@param path string
---@return boolean
local function is_trusted(folder, path)
  if trusted[folder] == nil then
    trusted[folder] = vim.secure.read(CAN_TRUST_FOLDERS and folder or path) ~= nil
  end
  return trusted[folder]
end

--- The command that starts the server for a workspace, and where it was found.
---@param root? string
---@return string[]? command
---@return string? origin
function M.find_command(root)
  local options = config.options
  if options.cmd then
    return options.cmd, 'the option `cmd`'
  end
  if root and options.workspace_server then
    local venv = root .. '/.venv'
    local programs = vim.fn.has('win32') == 1 and 'Scripts' or 'bin'
    local path = vim.fn.exepath(table.concat({ venv, programs, EXECUTABLE }, '/'))
    if path ~= '' and is_trusted(venv, path) then
      return { path, 'serve' }, 'the workspace'
    end
  end
  local path = vim.fn.exepath(EXECUTABLE)
  if path ~= '' then
    return { path, 'serve' }, 'PATH'
  end
end

--- Whether a buffer is a file that suggestions are wanted for.
---@param bufnr integer
---@return boolean
local function is_wanted(bufnr)
  local name, kind = vim.api.nvim_buf_get_name(bufnr), vim.bo[bufnr]
  if kind.buftype ~= '' or name == '' or name:match('^%a[%w+.-]+://') then
    return false
  end
  local filetypes = config.options.filetypes
  return not filetypes or vim.tbl_contains(filetypes, kind.filetype)
end

---@param bufnr integer
---@return string
local function root_of(bufnr)
  local name = vim.api.nvim_buf_get_name(bufnr)
  return vim.fs.root(bufnr, config.options.root_markers) or vim.fs.dirname(vim.fs.normalize(name))
end

---@param root? string
---@return table a vim.lsp.ClientConfig, without the command
local function client_config(root)
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.textDocument.inlineCompletion = { dynamicRegistration = false }
  -- Settings come from the user's own Lua, so the server may use the addresses in them.
  capabilities.experimental = { completionServer = { userAddresses = true } }
  -- Neovim's own question would take the keys that are being typed: the server shows a message instead.
  capabilities.window.showMessage = nil
  return {
    name = M.NAME,
    root_dir = root,
    capabilities = capabilities,
    settings = { completionServer = next(config.options.settings) and config.options.settings or nil },
    handlers = {
      ['window/logMessage'] = log.on_log_message,
      ['window/showMessage'] = log.on_show_message,
    },
    -- One process holds the model for all workspaces.
    reuse_client = function(client)
      return client.name == M.NAME and not client:is_stopped()
    end,
  }
end

--- Starts the server for a buffer if it is not running, and attaches the buffer.
---@param bufnr integer
function M.attach(bufnr)
  if not vim.api.nvim_buf_is_loaded(bufnr) or not is_wanted(bufnr) then
    return
  end
  local root = root_of(bufnr)
  local running = M.client()
  local command = running and running.config.cmd or M.find_command(root)
  if not command then
    log.notify_once(NOT_FOUND, log.WARNING)
    return
  end
  local options = client_config(root)
  options.cmd = command
  vim.lsp.start(options, { bufnr = bufnr, reuse_client = options.reuse_client })
end

--- Neovim 0.12: an ordinary vim.lsp.config; `vim.lsp.config('completion_server', ...)` may add to it.
local function enable_native()
  local options = client_config()
  options.cmd = function(dispatchers, resolved)
    local command = assert(M.find_command(resolved.root_dir))
    return vim.lsp.rpc.start(command, dispatchers, { cwd = resolved.cmd_cwd, env = resolved.cmd_env })
  end
  options.root_dir = function(bufnr, on_root)
    local root = is_wanted(bufnr) and root_of(bufnr)
    if root and (M.client() or M.find_command(root)) then
      on_root(root)
    elseif root then
      log.notify_once(NOT_FOUND, log.WARNING)
    end
  end
  options.name = nil
  vim.lsp.config(M.NAME, options)
  vim.lsp.enable(M.NAME)
end

--- Attaches all buffers that are open and those to come.
function M.enable()
  if config.is_native() then
    return enable_native()
  end
  local group = vim.api.nvim_create_augroup('completion_server.server', {})
  vim.api.nvim_create_autocmd('FileType', {
    group = group,
    callback = function(event)
      M.attach(event.buf)
    end,
  })
  M.attach_all()
end

--- Attaches all open buffers.
function M.attach_all()
  if config.is_native() then
    return vim.lsp.enable(M.NAME)
  end
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(bufnr) and vim.bo[bufnr].filetype ~= '' then
      M.attach(bufnr)
    end
  end
end

--- Ends the server, by force if need be, and starts it anew for all open buffers.
function M.restart()
  trusted = {}
  local client = M.client()
  if not client then
    return M.attach_all()
  end
  lsp_client.stop(client)
  local has_started = false
  local timer = assert(vim.uv.new_timer())
  local deadline = vim.uv.now() + STOP_TIMEOUT_MS
  timer:start(
    20,
    20,
    vim.schedule_wrap(function()
      local is_gone = vim.lsp.get_client_by_id(client.id) == nil
      if has_started then
        return
      elseif is_gone then
        has_started = true
        timer:close()
        M.attach_all()
      elseif vim.uv.now() > deadline then
        lsp_client.stop(client, true)
      end
    end)
  )
end

--- Runs one of the server's commands, `completionServer.<name>`.
---@param name string
---@param argument? any
---@param on_result fun(result: table)
---@return boolean was_sent
function M.execute(name, argument, on_result)
  local client = M.client()
  if not client then
    return false
  end
  local params = { command = 'completionServer.' .. name, arguments = argument and { argument } or nil }
  local bufnr = vim.api.nvim_get_current_buf() -- not 0: its changes that wait to be sent go out before
  local was_sent = lsp_client.request(client, 'workspace/executeCommand', params, function(err, result)
    if err then
      log.notify(('completion_server: %s: %s'):format(name, err.message), log.WARNING)
    else
      on_result(result or {})
    end
  end, bufnr)
  return was_sent
end

return M
