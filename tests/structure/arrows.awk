# arrows.awk - reads C files and judges their #include lines. Prints "RULE<TAB>WHAT" for every violation.
#
# FILE.c and FILE.h are one node, called FILE. An arrow "A -> B" means that A includes B.
#   upward   a room includes a room above it: the order is pipeline, stages, io, kernels
#   foreign  a room includes a library's header that is not for it
#   missing  an include in quotes names no file of the tree
#   circle   the arrow lies on a circle of files
#   folders  the arrow lies on a circle of folders inside one room, or of folders inside one of these; a file that lies
#            directly in it stands for itself

function node_of(path) { sub(/\.[ch]$/, "", path); return path }
function room_of(path) { sub(/\/.*/, "", path); return path }
# The folder of a node so many levels below the top: of pipeline/run/claim/wait and 2, pipeline/run.
function folder_of(node, levels,   parts, i, folder) {
  if (split(node, parts, "/") <= levels)
    return node
  folder = parts[1]
  for (i = 2; i <= levels; i++)
    folder = folder "/" parts[i]
  return folder
}
function violation(rule, what) { if (!seen[rule, what]++) printf "%s\t%s\n", rule, what }

# graph[A] holds B for every arrow of one graph, separated by spaces.
function add_arrow(graph, from, to) {
  if (from == to || (from, to) in graph)
    return
  graph[from, to] = 1
  graph[from] = graph[from] " " to
}

function reaches(graph, from, to,   stack, depth, been, next_ones, n, i, at) {
  stack[depth = 1] = from
  while (depth > 0) {
    at = stack[depth--]
    if (at == to)
      return 1
    if (been[at]++)
      continue
    n = split(graph[at], next_ones, " ")
    for (i = 1; i <= n; i++)
      stack[++depth] = next_ones[i]
  }
  return 0
}

# What was said of files is not said again of folders.
function print_circles(graph, rule,   arrow, ends, what) {
  for (arrow in graph)
    if (split(arrow, ends, SUBSEP) == 2 && reaches(graph, ends[2], ends[1])) {
      what = ends[1] " -> " ends[2]
      if (!(("circle", what) in seen))
        violation(rule, what)
    }
}

BEGIN {
  height["kernels"] = 1; height["io"] = 2; height["stages"] = 3; height["pipeline"] = 4
  split("mpi.h hdf5.h jansson.h yaml.h", libraries, " ")
  allowed["kernels"] = ""
  allowed["io"] = "mpi.h hdf5.h jansson.h yaml.h"
  allowed["stages"] = "mpi.h hdf5.h jansson.h"
  allowed["pipeline"] = "mpi.h hdf5.h jansson.h yaml.h"
  for (i = 1; i < ARGC; i++)
    exists[ARGV[i]] = 1
  exists["version.h"] = 1 # made by the build
}

match($0, /^[ \t]*#[ \t]*include[ \t]*[<"][^>"]*[>"]/) {
  name = $0
  sub(/^[^<"]*[<"]/, "", name)
  sub(/[>"].*/, "", name)
  room = room_of(FILENAME)
  quoted = $0 ~ /^[ \t]*#[ \t]*include[ \t]*"/
  if (!(room in height))
    next
  if (!quoted) {
    for (i in libraries)
      if (name == libraries[i] && index(" " allowed[room] " ", " " name " ") == 0)
        violation("foreign", FILENAME " includes <" name ">")
    next
  }
  target = room_of(name)
  if (height[target] > height[room] || target == "tests")
    violation("upward", node_of(FILENAME) " -> " node_of(name))
  else if (!(name in exists))
    violation("missing", FILENAME " includes \"" name "\"")
  if (!(target in height))
    next
  add_arrow(files, node_of(FILENAME), node_of(name))
  for (levels = 2; levels < 5; levels++)
    if (folder_of(node_of(FILENAME), levels - 1) == folder_of(node_of(name), levels - 1))
      add_arrow(folders, folder_of(node_of(FILENAME), levels), folder_of(node_of(name), levels))
}

END {
  print_circles(files, "circle")
  print_circles(folders, "folders")
}
