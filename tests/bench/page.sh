# page.sh - sourced by scripts that write tables into the documentation.

# replace_section PAGE BEGIN END FILE: puts FILE between these two lines of the page, at the end where it has none.
replace_section() {
    local page=$1 begin=$2 end=$3
    grep -qxF -e "$begin" "$page" || printf '\n%s\n%s\n' "$begin" "$end" >>"$page"
    awk -v begin="$begin" -v end="$end" -v file="$4" '
        $0 == end { inside = 0 }
        !inside { print }
        $0 == begin { inside = 1; while ((getline line < file) > 0) print line }' "$page" >"$page.new"
    mv "$page.new" "$page"
}

processor_name() { sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1; }
