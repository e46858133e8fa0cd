--- One item of a reply, tied to the text it was made for. It stays good while the user types along it:
--- what stands between the start of its range and the cursor must be how its text begins.

local M = {}

---@class completion_server.Suggestion
---@field text string All of it, lines separated by \n.
---@field row integer Where its range starts,
---@field column integer in bytes.
---@field head string The line up to there.
---@field tail string What stood after the cursor on the cursor's line.
---@field num_lines_below integer Lines from the cursor's on.
---@field end_rows integer How many lines below the cursor's its range ends,
---@field end_column integer at which byte; counted from the cursor when on its line.
---@field item table? The item it is, and
---@field client_id integer? who sent it.

---@class completion_server.ByteRange
---@field row integer
---@field column integer
---@field end_row integer
---@field end_column integer

---@param bufnr integer
---@param row integer
---@return string
local function line_at(bufnr, row)
  return vim.api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
end

--- Ties a text and its range to the buffer as it is. nil when the range does not hold the cursor.
---@param bufnr integer
---@param text string
---@param range completion_server.ByteRange
---@param row integer the cursor's
---@param column integer the cursor's
---@return completion_server.Suggestion?
function M.new(bufnr, text, range, row, column)
  local starts_after = range.row > row or (range.row == row and range.column > column)
  local ends_before = range.end_row < row or (range.end_row == row and range.end_column < column)
  if starts_after or ends_before then
    return nil
  end
  local is_same_line = range.end_row == row
  return {
    text = (text:gsub('\r\n?', '\n')),
    row = range.row,
    column = range.column,
    head = line_at(bufnr, range.row):sub(1, range.column),
    tail = line_at(bufnr, row):sub(column + 1),
    num_lines_below = vim.api.nvim_buf_line_count(bufnr) - row,
    end_rows = range.end_row - row,
    end_column = is_same_line and range.end_column - column or range.end_column,
  }
end

--- What is still to be written at the cursor; nil when the suggestion does not fit the text any more.
---@param self completion_server.Suggestion
---@param bufnr integer
---@param row integer the cursor's
---@param column integer the cursor's
---@return string?
function M.rest(self, bufnr, row, column)
  if row < self.row or vim.api.nvim_buf_line_count(bufnr) - row ~= self.num_lines_below then
    return nil
  end
  local lines = vim.api.nvim_buf_get_lines(bufnr, self.row, row + 1, false)
  if lines[1]:sub(1, self.column) ~= self.head or lines[#lines]:sub(column + 1) ~= self.tail then
    return nil
  end
  lines[#lines] = lines[#lines]:sub(1, column)
  if #lines[1] < self.column then
    return nil
  end
  lines[1] = lines[1]:sub(self.column + 1)
  local typed = table.concat(lines, '\n')
  if not vim.startswith(self.text, typed) then
    return nil
  end
  return self.text:sub(#typed + 1)
end

--- The text after the cursor that is replaced when all of the suggestion is accepted.
---@param self completion_server.Suggestion
---@return string
function M.replaced(self)
  return self.end_rows == 0 and self.tail:sub(1, self.end_column) or self.tail
end

--- Writes a part of the rest at the cursor of the current window and puts the cursor after it.
---@param self completion_server.Suggestion
---@param part string what `rest` gave, or its beginning
---@param is_all boolean whether it is all of the rest, so that the range is replaced
function M.insert(self, part, is_all)
  local place = vim.api.nvim_win_get_cursor(0)
  local row, column = place[1] - 1, place[2]
  local end_row, end_column = row, column
  if is_all then
    end_row = row + self.end_rows
    end_column = self.end_rows == 0 and column + self.end_column or self.end_column
  end
  local lines = vim.split(part, '\n', { plain = true })
  vim.api.nvim_buf_set_text(0, row, column, end_row, end_column, lines)
  local last = lines[#lines]
  vim.api.nvim_win_set_cursor(0, { row + #lines, #lines == 1 and column + #last or #last })
end

--- The first word of a text, with the white space before it.
---@param text string
---@return string
function M.first_word(text)
  local word = vim.fn.matchstr(text, [[^\_s*\%(\k\+\|\%(\k\@!\S\)\+\)]])
  return word ~= '' and word or text
end

--- The rest of the first line, or the whole next line when nothing is left of the first.
---@param text string
---@return string
function M.first_line(text)
  return text:match('^\n?[^\n]*')
end

return M
