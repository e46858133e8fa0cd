--- :checkhealth completion_server

local M = {}

local STATUS_TIMEOUT_MS = 2000

local function check_neovim()
  local health, config = vim.health, require('completion_server.config')
  local version = tostring(vim.version())
  if vim.fn.has('nvim-0.10') == 0 then
    health.error('Neovim ' .. version .. ': 0.10 or later is needed')
    return
  end
  local client = config.is_native() and "Neovim's own client (vim.lsp.inline_completion)"
    or "this plugin's own client"
  health.ok(('Neovim %s, with %s'):format(version, client))
end

local function check_program()
  local health, server = vim.health, require('completion_server.server')
  local root = vim.fs.root(vim.fn.getcwd(), require('completion_server.config').options.root_markers)
  local command, origin = server.find_command(root)
  if not command then
    health.error('the program completion-server was not found', {
      'install it, see :help completion_server-install',
      'or set `cmd` in setup()',
    })
    return
  end
  health.ok(('%s (from %s)'):format(table.concat(command, ' '), origin))
  if vim.fn.executable(command[1]) == 0 then
    health.error(command[1] .. ' cannot be run')
  end
end

local function check_server()
  local health, server = vim.health, require('completion_server.server')
  local result
  local was_sent = server.execute('status', nil, function(status)
    result = status
  end)
  if not was_sent then
    health.warn('the server is not running', { 'it starts with the first file; then see :CompletionServer log' })
    return
  end
  vim.wait(STATUS_TIMEOUT_MS, function()
    return result ~= nil
  end, 10)
  if not result then
    health.error('the server does not answer', { ':CompletionServer restart', ':CompletionServer log' })
    return
  end
  local text = ('server %s: %s, model %s'):format(result.version, result.state, result.model_name)
  if result.state == 'error' then
    health.error(('%s: %s'):format(text, result.message), { ':CompletionServer log' })
  elseif result.state == 'paused' then
    health.warn(('%s: %s'):format(text, result.message), { ':CompletionServer resume' })
  else
    health.ok(text)
  end
end

local function check_keys()
  local health, keymaps = vim.health, require('completion_server.config').options.keymaps
  for _, action in ipairs({ 'accept', 'accept_word', 'accept_line', 'next', 'previous', 'dismiss' }) do
    local key = keymaps[action]
    if key then
      local mapping = vim.fn.maparg(key, 'i', false, true)
      if mapping.desc == 'completion_server: ' .. action then
        health.ok(('%s: %s'):format(action, key))
      else
        health.warn(('%s: %s does something else now'):format(action, key), {
          'another plugin mapped it after setup(), or setup() was not called',
        })
      end
    end
  end
end

function M.check()
  vim.health.start('completion_server')
  check_neovim()
  check_program()
  check_server()
  check_keys()
end

return M
