--- :CompletionServer status | pause | resume | restart | log | explain

local log = require('completion_server.log')

local M = {}

local MAX_HEIGHT = 20

---@param title string
---@param values table
local function show(title, values)
  local names = vim.tbl_keys(values)
  table.sort(names)
  local lines = { title, '' }
  for _, name in ipairs(names) do
    local value = values[name]
    if value ~= vim.NIL and value ~= '' then
      value = type(value) == 'table' and vim.inspect(value, { newline = ' ', indent = '' }) or tostring(value)
      lines[#lines + 1] = ('%s: %s'):format(name, (value:gsub('\n', ' ')))
    end
  end
  log.show(lines, math.min(#lines, MAX_HEIGHT))
end

---@param name string
---@param argument any
---@param on_result fun(result: table)
local function execute(name, argument, on_result)
  if not require('completion_server.server').execute(name, argument, on_result) then
    log.notify('completion_server: not running, see :checkhealth completion_server', log.WARNING)
  end
end

---@param result table
local function take_status(result)
  require('completion_server.status').take(result)
  log.notify('completion_server: ' .. result.state)
end

---@type table<string, fun()>
local actions = {
  status = function()
    execute('status', nil, function(result)
      require('completion_server.status').take(result)
      show('Completion server (q closes):', result)
    end)
  end,
  pause = function()
    require('completion_server').dismiss()
    execute('pause', nil, take_status)
  end,
  resume = function()
    execute('resume', nil, take_status)
  end,
  restart = function()
    require('completion_server.server').restart()
  end,
  log = function()
    log.open()
  end,
  explain = function()
    execute('explain', { uri = vim.uri_from_bufnr(0) }, function(result)
      show('The last request for this file (q closes):', result)
    end)
  end,
}

---@param name string
function M.run(name)
  local action = actions[name ~= '' and name or 'status']
  if action then
    action()
  else
    log.notify(('no %q: see :help :CompletionServer'):format(name), log.WARNING)
  end
end

---@return string[]
function M.names()
  local names = vim.tbl_keys(actions)
  table.sort(names)
  return names
end

function M.create()
  vim.api.nvim_create_user_command('CompletionServer', function(arguments)
    M.run(arguments.args)
  end, {
    nargs = '?',
    desc = 'Inline completion: status, pause, resume, restart, log, explain',
    complete = function(beginning)
      return vim.tbl_filter(function(name)
        return vim.startswith(name, beginning)
      end, M.names())
    end,
  })
end

return M
