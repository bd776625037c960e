"""The shell scripts that run git inside a box, each in one process tree and one round trip.

`g` is git with our own directory beside the work tree, `real` is git with the work tree's repository,
whose configuration is whatever the box made of it. Exit codes are refusals, named by the caller.
"""

_PRELUDE = r"""
set -eu
umask 022
cd /workspace
ours=/spool/.tree
real() {
  git --git-dir=/workspace/.git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 \
    -c maintenance.auto=false -c core.bare=false "$@"
}
g() {
  git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 -c maintenance.auto=false \
    -c core.looseCompression=1 -c pack.compression=1 -c core.safecrlf=false -c core.autocrlf=false \
    -c core.excludesFile=/workspace/.git/info/exclude "$@"
}
export GIT_DIR=$ours GIT_WORK_TREE=/workspace
if [ ! -f $ours/info/attributes ]; then
  g init -q --template=
  mkdir -p $ours/info
  echo '* -text !eol !ident !filter !working-tree-encoding' > $ours/info/attributes
fi
share() {
  if [ -d .git/objects ] && [ ! -L .git ] && [ ! -L .git/objects ]; then
    export GIT_OBJECT_DIRECTORY=/workspace/.git/objects GIT_ALTERNATE_OBJECT_DIRECTORIES=$ours/objects
  fi
}
share
"""

PREPARE = (
    _PRELUDE
    + r"""
[ -z "$2" ] || git check-ref-format "refs/heads/$2" || exit 6
[ "$(cat /spool/.seeded 2>/dev/null || true)" != "$1" ] || exit 9
if [ ! -f /spool/.seeding ] && [ -n "$(ls -A /workspace)" ]; then exit 7; fi
echo "$1" > /spool/.seeding
rm -rf /workspace/* /workspace/.[!.]* /workspace/..?*
unset GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_DIR
if [ -n "$2" ]; then
  GIT_DIR=/workspace/.git git init -q --template=
  real symbolic-ref HEAD "refs/heads/$2"
  real config user.name Rhone
  real config user.email agent@rhone.invalid
  real config core.hooksPath /dev/null
  real config --unset core.worktree || true
  real config gc.auto 0
fi
"""
)

UNPACK = _PRELUDE + "g index-pack --stdin --fix-thin > /dev/null\n"

PLACE = (
    _PRELUDE
    + r"""
g cat-file -e "$1^{commit}" 2>/dev/null || exit 8
told=$(g cat-file commit "$1" | sed '1,/^$/d')
field() { printf '%s\n' "$told" | sed -n "s/^$1 //p" | head -n 1; }
case $told in
'rhone checkpoint'*)
  head=$(field head) branch=$(field branch) index=$(field index)
  if [ -n "$head$branch" ] && [ ! -d .git ]; then
    (unset GIT_OBJECT_DIRECTORY; GIT_DIR=/workspace/.git git init -q --template=)
    echo $ours/objects > .git/objects/info/alternates
  fi
  printf '%s\n' "$told" | sed -n 's/^at //p' | while read -r id name; do real update-ref "$name" "$id"; done
  if [ -n "$branch" ]; then
    real symbolic-ref HEAD "$branch"
    [ -z "$head" ] || real update-ref "$branch" "$head"
  elif [ -n "$head" ]; then real update-ref --no-deref HEAD "$head"; fi
  g read-tree "$1"
  g checkout-index -a -f -q -u
  if [ -n "$index" ]; then
    real read-tree "$index"
    real update-index -q --refresh > /dev/null || true
  fi
  if [ -z "$head$branch" ]; then
    unset GIT_OBJECT_DIRECTORY
    cp -R .git/objects/. $ours/objects
    rm -rf .git
  fi
  g update-ref refs/rhone/checkpoint "$1"
  ;;
*)
  real update-ref "refs/heads/$2" "$1"
  real reset -q --hard
  g read-tree "$1"
  g add -A --ignore-errors . 2>/dev/null || true
  ;;
esac
rm -f /spool/.seeding
echo "$1" > /spool/.seeded
"""
)

# The commit is made of the state alone, without a clock: the same state is the same commit. Its parents
# keep alive what a checkpoint needs beside the tree: what is checked out, the index, the other branches.
CHECKPOINT = (
    _PRELUDE
    + r"""
head=$(real rev-parse -q --verify 'HEAD^{commit}' 2>/dev/null) || head=
branch=$(real symbolic-ref -q HEAD 2>/dev/null) || branch=
each='at %(objectname) %(refname)'
branches=$(real for-each-ref --count=50 --format="$each" refs/heads 2>/dev/null) || branches=
whole() {
  index=
  if [ -f .git/index ]; then
    cp .git/index $ours/theirs
    index=$(GIT_INDEX_FILE=$ours/theirs g write-tree 2>/dev/null) || index=
    GIT_INDEX_FILE=$ours/theirs g ls-files -z -c -i --exclude-standard |
      g update-index -z --add --remove --stdin
  fi
  g add -A --ignore-errors . 2>$ours/errors || ! grep -q 'No space left' $ours/errors || exit 28
  tree=$(g write-tree 2>$ours/errors)
}
rm -f $ours/index.lock
whole || { ! grep -q 'No space left' $ours/errors || exit 28; rm -f $ours/index; whole; }
if [ -n "$1" ] && [ "$head" = "$1" ] && [ "$index" = "$tree" ] &&
  [ "$branches" = "at $1 $branch" ] && [ "$(g rev-parse "$1^{tree}")" = "$tree" ]; then exit 0; fi
parents=
[ -z "$head" ] || parents="-p $head"
if [ -n "$index" ] && [ "$index" != "$tree" ]; then
  parents="$parents -p $(echo index | g commit-tree "$index")"
fi
for id in $(printf '%s\n' "$branches" | sed -n 's/^at \([0-9a-f]*\) .*/\1/p' | sort -u); do
  [ "$id" = "$head" ] || parents="$parents -p $id"
done
told=$(printf 'head %s\nbranch %s\nindex %s' "$head" "$branch" "$index")
commit=$(printf 'rhone checkpoint\n%s\n%s\n' "$told" "$branches" | g commit-tree "$tree" $parents)
[ "$commit" != "$1" ] || exit 0
g update-ref refs/rhone/checkpoint "$commit"
over=
if [ -n "$1" ] && g cat-file -e "$1^{commit}" 2>/dev/null; then over="^$1"; fi
echo "$commit $tree"
g bundle create - refs/rhone/checkpoint $over
"""
)

HEAD = _PRELUDE + "real rev-parse -q --verify 'HEAD^{commit}' 2>/dev/null || true\n"

TAKE = (
    _PRELUDE
    + r"""
git check-ref-format "$2" || exit 6
tip=$(real rev-parse -q --verify "$2^{commit}" 2>/dev/null) || exit 3
g cat-file -e "$1^{commit}" 2>/dev/null || exit 4
[ -n "$(g rev-list -n 1 "$1..$tip")" ] || exit 5
g update-ref "$2" "$tip"
trap 'g update-ref -d "$2"' EXIT
g bundle create - "$2" "^$1"
"""
)

PACK = (
    _PRELUDE
    + r"""
list=/spool/.untracked
trap 'rm -f $list' EXIT
if [ -d .git ]; then
  real diff --quiet --no-ext-diff --no-textconv --ignore-submodules HEAD -- || exit 3
  real --work-tree=/workspace ls-files -z --others | sed -z 's,^,workspace/,' > $list
else
  cd / && find workspace -mindepth 1 -maxdepth 1 -print0 > $list
fi
printf 'home/agent\0' >> $list
GZIP=-1 tar -C / -cz --null --verbatim-files-from -T $list
"""
)

UNPACK_SETUP = "set -eu\ntar -C / -xz --skip-old-files --no-same-permissions\n"
