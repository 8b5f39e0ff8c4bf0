-- Lmod's functions, replaced by ones that keep what they are given.
local file, expected_root = arg[1], arg[2]
local set, prepended, failed = {}, {}, nil
function help() end
function whatis() end
function family(name) assert(name == "flashring") end
function setenv(name, value) set[name] = value end
function prepend_path(name, value) prepended[name] = value end
function pathJoin(...) return table.concat({...}, "/") end
function myFileName() return file end
function LmodError(text) failed = text; error(text) end

local ok = pcall(dofile, file)
if expected_root == "nowhere" then
  assert(not ok and failed:find("write the path", 1, true), "a file in a wrong place must say so")
else
  assert(ok, failed)
  assert(set.FLASHRING_ROOT == expected_root, set.FLASHRING_ROOT)
  assert(prepended.PATH == expected_root .. "/bin", prepended.PATH)
  assert(prepended.LD_LIBRARY_PATH:find(expected_root .. "/lib", 1, true) == 1)
  assert(prepended.PKG_CONFIG_PATH == prepended.LD_LIBRARY_PATH .. "/pkgconfig")
  assert(prepended.CMAKE_PREFIX_PATH == expected_root)
end
