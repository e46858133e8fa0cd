--- What was said: the server's messages, the plugin's own, and the server's stderr (it is in Neovim's LSP log).

local M = {}

local MAX_MESSAGES, MAX_LOG_LINES = 200, 200
local KINDS = { 'error', 'warning', 'info', 'log', 'debug' }
local LEVELS = { 'ERROR', 'WARN' }
local HINT = '... (:CompletionServer log)'

M.WARNING = 2
local INFO = 3

---@type string[]
local messages = {}

---@type table<string, boolean>
local told = {}

---@param message { type: integer, message: string }
local function remember(message)
  local kind = KINDS[message.type] or 'log'
  messages[#messages + 1] = ('%s [%s] %s'):format(os.date('%H:%M:%S'), kind, message.message)
  if #messages > MAX_MESSAGES then
    table.remove(messages, 1)
  end
end

--- Handler of window/logMessage.
function M.on_log_message(err, result, context, ...)
  if result then
    remember(result)
  end
  return vim.lsp.handlers['window/logMessage'](err, result, context, ...)
end

--- Tells the user, in one line: a longer message would make Neovim ask for a key before it goes on.
---@param text string
---@param kind? integer as in LSP: 1 error, 2 warning, 3 info (the default)
function M.notify(text, kind)
  kind = kind or INFO
  remember({ type = kind, message = text })
  text = text:gsub('%s*\n%s*', ' ')
  if vim.fn.strdisplaywidth(text) > vim.v.echospace then
    text = vim.fn.strcharpart(text, 0, math.max(0, vim.v.echospace - #HINT)) .. HINT
  end
  vim.notify(text, vim.log.levels[LEVELS[kind] or 'INFO'])
end

--- The same, once for a text.
---@param text string
---@param kind? integer
function M.notify_once(text, kind)
  if not told[text] then
    told[text] = true
    M.notify(text, kind)
  end
end

--- Handler of window/showMessage.
function M.on_show_message(_, result)
  if result then
    M.notify(result.message, result.type)
  end
end

--- The path of Neovim's LSP log.
---@return string
local function log_path()
  return vim.lsp.log and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
end

---@return string[]
local function stderr_lines()
  local file = io.open(log_path())
  if not file then
    return {}
  end
  local found = {}
  for line in file:lines() do
    if line:find('completion', 1, true) and line:find('stderr', 1, true) then
      found[#found + 1] = line:gsub('\\n', '\n'):gsub('\\"', '"')
    end
  end
  file:close()
  return vim.list_slice(found, math.max(1, #found - MAX_LOG_LINES + 1))
end

---@return string[]
function M.lines()
  local lines = { 'Messages:', '' }
  vim.list_extend(lines, #messages > 0 and messages or { '(none)' })
  vim.list_extend(lines, { '', 'The last lines of the server on stderr, from ' .. log_path() .. ':', '' })
  vim.list_extend(lines, stderr_lines())
  local flat = {}
  for _, line in ipairs(lines) do
    vim.list_extend(flat, vim.split(line, '\n', { plain = true }))
  end
  return flat
end

--- Shows lines in a window of its own, which `q` closes.
---@param lines string[]
---@param height? integer
function M.show(lines, height)
  vim.cmd(('botright %snew'):format(height or ''))
  local bufnr = vim.api.nvim_get_current_buf()
  vim.bo[bufnr].buftype, vim.bo[bufnr].bufhidden, vim.bo[bufnr].swapfile = 'nofile', 'wipe', false
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, lines)
  vim.bo[bufnr].modifiable = false
  vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = bufnr, nowait = true })
end

--- Shows what the server said, the newest at the cursor.
function M.open()
  M.show(M.lines())
  vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(0), 0 })
end

return M
