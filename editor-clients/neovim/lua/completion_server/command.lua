--- :CompletionServer status | pause | resume | restart | log | explain

local M = {}

---@param title string
---@param values table
local function show(title, values)
  local names = vim.tbl_keys(values)
  table.sort(names)
  local chunks = { { title .. '\n', 'Title' } }
  for _, name in ipairs(names) do
    local value = values[name]
    if value ~= vim.NIL and value ~= '' then
      value = type(value) == 'table' and vim.inspect(value, { newline = ' ', indent = '' }) or tostring(value)
      chunks[#chunks + 1] = { ('%s: '):format(name), 'Identifier' }
      chunks[#chunks + 1] = { value .. '\n' }
    end
  end
  vim.api.nvim_echo(chunks, true, {})
end

---@param name string
---@param argument any
---@param on_result fun(result: table)
local function execute(name, argument, on_result)
  if not require('completion_server.server').execute(name, argument, on_result) then
    vim.notify('completion_server: the server is not running; see :checkhealth completion_server')
  end
end

---@param result table
local function take_status(result)
  require('completion_server.status').take(result)
  vim.api.nvim_echo({ { ('completion server: %s %s'):format(result.state, result.message or '') } }, false, {})
end

---@type table<string, fun()>
local actions = {
  status = function()
    execute('status', nil, function(result)
      require('completion_server.status').take(result)
      show('completion server', result)
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
    require('completion_server.log').open()
  end,
  explain = function()
    execute('explain', { uri = vim.uri_from_bufnr(0) }, function(result)
      show('the last request for this file', result)
    end)
  end,
}

---@param name string
function M.run(name)
  local action = actions[name ~= '' and name or 'status']
  if action then
    action()
  else
    vim.notify(('completion_server: there is no %q; try one of %s'):format(name, table.concat(M.names(), ', ')))
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
