std = 'luajit'
read_globals = { 'vim' }
globals = { 'vim.bo', 'vim.g' }
max_line_length = 115
