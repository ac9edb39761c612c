# How the pictures of these pages look.
set terminal svg size 520,320 font 'sans-serif,12' background 'white'
set border 3
set tics nomirror
set grid ytics lc rgb '#dddddd'
set key left top
