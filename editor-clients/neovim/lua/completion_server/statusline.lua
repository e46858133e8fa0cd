--- A component for the status line, lualine or any other. Never asks the server, so it costs nothing.

local status = require('completion_server.status')

local M = {}

--- 'completion: loading 40%', 'completion: ready', ...; empty when there is no server.
---@return string
function M.component()
  local current = status.current
  if current.state == 'stopped' then
    return ''
  end
  local percentage = current.percentage and (' %d%%'):format(current.percentage) or ''
  return 'completion: ' .. current.state .. percentage
end

return setmetatable(M, { __call = M.component })
