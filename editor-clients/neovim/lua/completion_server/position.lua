--- LSP positions (row and characters in the server's encoding) to rows and byte columns.

local M = {}

local HAS_ENCODING_NAMES = vim.fn.has('nvim-0.11') == 1

--- The byte column of an LSP character on a line; the end of the line when it is beyond.
---@param line string
---@param character integer
---@param encoding string utf-8, utf-16 or utf-32
---@return integer
function M.byte_column(line, character, encoding)
  if encoding == 'utf-8' then
    return math.min(character, #line)
  end
  if HAS_ENCODING_NAMES then
    return vim.str_byteindex(line, encoding, character, false)
  end
  local is_inside, column = pcall(vim.str_byteindex, line, character, encoding == 'utf-16')
  return is_inside and column or #line
end

---@param bufnr integer
---@param position lsp.Position
---@param encoding string
---@return integer row
---@return integer column in bytes
function M.from_lsp(bufnr, position, encoding)
  local line = vim.api.nvim_buf_get_lines(bufnr, position.line, position.line + 1, false)[1] or ''
  return position.line, M.byte_column(line, position.character, encoding)
end

--- The cursor of the current window: row from 0 and byte column.
---@return integer row
---@return integer column
function M.cursor()
  local place = vim.api.nvim_win_get_cursor(0)
  return place[1] - 1, place[2]
end

return M
