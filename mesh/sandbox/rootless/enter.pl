# Runs a program of the mesh, for an ordinary user, as root of a user namespace of his own: enter.pl ARCH PROGRAM WORD …
# The namespace has its own mounts and process ids, so that with its first process everything in it is gone. Uses nothing but
# perl-base and newuidmap. When something is missing that an operator has to give, the program runs without the namespace: it is
# the one to say what is missing, and builds no sandbox (requirements.ts).
use strict;
use POSIX qw(:sys_wait_h :errno_h :fcntl_h :signal_h);

my ($arch, @program) = @ARGV;
my $SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
my %number_of_unshare = (x64 => 272, arm64 => 97);
my %number_of_mount = (x64 => 165, arm64 => 40);
my %number_of_prctl = (x64 => 157, arm64 => 167);
my ($unshare, $mount, $prctl) = map { $_->{$arch} } \%number_of_unshare, \%number_of_mount, \%number_of_prctl;
my ($CLONE_NEWNS, $CLONE_NEWUSER, $CLONE_NEWPID) = (0x20000, 0x10000000, 0x20000000);
my ($MS_NOSUID, $MS_NODEV, $MS_NOEXEC, $MS_REC, $MS_SLAVE) = (2, 4, 8, 16384, 1 << 19);
my $PR_SET_PDEATHSIG = 1;
my ($LOCK_EX, $LOCK_NB) = (2, 4);
# The same as in namespace.ts.
my ($IDS_PER_SANDBOX, $RUN_PARENT, $RUN_DIR) = (2048, "/dev/shm", "/dev/shm/cordon");
my $LEFT_SECONDS = 10;

sub refuse {
  my ($message, $fix) = @_;
  print STDERR "cordon: $message\nfix: $fix\n";
  POSIX::_exit(1);
}
sub plainly { exec { $program[0] } @program; refuse("`$program[0]` cannot be started: $!", "install it") }

plainly() if $< == 0 or $> == 0 or !$unshare;
my $user = getpwuid $< or plainly();

sub program_of { my ($name) = @_; for (split /:/, $SYSTEM_PATH) { return "$_/$name" if -x "$_/$name" } return }
my ($newuidmap, $newgidmap) = map { program_of($_) } "newuidmap", "newgidmap";

# First and number of the user's own ids in /etc/subuid or /etc/subgid.
sub range_of {
  open my $file, "<", $_[0] or return;
  while (<$file>) {
    my ($owner, $first, $count) = /^([^:]+):(\d+):(\d+)$/ or next;
    return ($first, $count) if ($owner eq $user or $owner eq $<) and $count >= 2 * $IDS_PER_SANDBOX;
  }
  return;
}
my ($uid_first, $uid_count) = range_of("/etc/subuid");
my ($gid_first, $gid_count) = range_of("/etc/subgid");

# Version 1: the groups that the operator has given to this user, one in each hierarchy.
sub given_groups {
  open my $file, "<", "/proc/self/mountinfo" or return;
  my %points;
  while (<$file>) { $points{$1} = 1 if / \/ (\S+) .* - cgroup2? / }
  return grep { -d and -w } map { "$_/cordon-user-$<" } sort keys %points;
}

# Version 2 has one hierarchy, and nobody but root moves a process into a group of it from elsewhere: so this one is in its user's
# already, which is the operator's, or a scope that systemd's manager of this user has made for this mesh alone. See given-group.ts.
my ($TWO, $RUN_USER) = ("/sys/fs/cgroup", "/run/user/$<");
sub own_group { open my $file, "<", "/proc/self/cgroup" or return ""; while (<$file>) { return $1 if m{^0::(/.*)$} } return "" }
sub delegated_groups {
  return "$TWO$1" if own_group() =~ m{^(/cordon-user-$<|/[\w.@/-]*user\@$<\.service/[\w.@/-]*cordon-mesh-\d+-\d+\.scope)(?:/mesh)?$};
  return;
}

# Runs all of this once more in such a scope. Returns where there is no manager, or it makes none.
sub enter_scope {
  my $run = program_of("systemd-run") or return;
  return if delete $ENV{CORDON_SCOPE} or !-S "$RUN_USER/systemd/private";
  $ENV{XDG_RUNTIME_DIR} = $RUN_USER;
  my @scope = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes");
  # What it becomes could not come back here, so it is asked for nothing first.
  my $asked = fork // return;
  if ($asked == 0) {
    open STDIN, "<", "/dev/null" and open STDOUT, ">", "/dev/null" and open STDERR, ">&", \*STDOUT and exec { $run } @scope, "true";
    POSIX::_exit(127);
  }
  waitpid $asked, 0;
  return if $?;
  $ENV{CORDON_SCOPE} = 1;
  exec { $run } @scope, "--unit=cordon-mesh-$$-" . time . ".scope", "--", $^X, $0, $arch, @program;
  delete $ENV{CORDON_SCOPE};
}

my $unified = -e "$TWO/cgroup.controllers";
enter_scope() if $unified and !delegated_groups();
delete $ENV{CORDON_SCOPE};
my @groups = $unified ? delegated_groups() : given_groups();
# Folders that nobody else may open, and which stand for as long as a mesh may: of version 2 both, for each group has its own.
sub private { my @about = stat $_[0]; return @about && -d _ && $about[4] == $< && !($about[2] & 077) }
my @lock_folders = $unified
  ? (@groups ? grep { private($_) } $RUN_USER, "$TWO/cordon-user-$<" : ())
  : grep { m{/pids/|,pids/|/pids,} } @groups;
plainly() unless $newuidmap and $newgidmap and $uid_count and $gid_count and @lock_folders;

# One namespace a user: its sandboxes use his ids and his groups. Both processes below hold the lock for as long as they live.
my @locks = map {
  sysopen my $lock, $_, O_RDONLY or refuse("`$_` cannot be opened: $!", "see `cordon doctor`");
  flock $lock, $LOCK_EX | $LOCK_NB or refuse(
    "a mesh of `$user` runs already, and the sandboxes of an ordinary user's meshes would share ids",
    "stop it with `cordon down`, or run this one as another user",
  );
  $lock;
} @lock_folders;

sub put { my ($file, $text) = @_; sysopen my $handle, $file, O_WRONLY or return; return defined syswrite $handle, $text }

# Version 2: a group whose members are limited has no process of its own, so those of the mesh, and all that were started beside it,
# go to a leaf. Whether the controllers are handed on then is the kernel's word.
sub arranged {
  my ($group) = @_;
  mkdir "$group/mesh", 0755;
  put("$group/mesh/cgroup.procs", $_) for $$, processes_of($group);
  put("$group/cgroup.subtree_control", "+memory +cpu +pids");
  open my $file, "<", "$group/cgroup.subtree_control" or return;
  my %held = map { $_ => 1 } split " ", <$file> // "";
  return "$TWO" . own_group() eq "$group/mesh" && $held{memory} && $held{cpu} && $held{pids};
}
plainly() if $unified and !arranged($groups[0]);

# What a mesh that was killed has left. Its processes ended with its namespace; who is still there is ended by the user who owns it.
sub processes_of { my ($group) = @_; open my $file, "<", "$group/cgroup.procs" or return; chomp(my @pids = <$file>); return @pids }
for my $group (@groups) {
  my @parents = grep { m{/cordon-[a-z0-9]{8}$} } glob "$group/cordon-*";
  for my $old ((map { grep { -d } glob "$_/*" } @parents), @parents) {
    for (my $tries = $LEFT_SECONDS * 20; !rmdir $old; $tries--) {
      last if $! == ENOENT;
      refuse("`$old` is left of an earlier mesh, and cannot be removed: $!", "end its processes, or ask the operator to") if $tries <= 0;
      kill KILL => grep { $_ > 1 } processes_of($old);
      select undef, undef, undef, 0.05;
    }
  }
}

# Only a process outside may write more than one line of ids, and only through programs that check them.
pipe my $inside, my $ready or refuse("no pipe could be made: $!", "close other programs");
my $outer = $$;
my $mapper = fork // refuse("no process could be started: $!", "close other programs");
if ($mapper == 0) {
  close $ready;
  sysread $inside, my $go, 1 or POSIX::_exit(1);
  $ENV{PATH} = $SYSTEM_PATH;
  system { $newuidmap } "newuidmap", $outer, 0, $<, 1, 1, $uid_first, $uid_count and POSIX::_exit(2);
  system { $newgidmap } "newgidmap", $outer, 0, $( + 0, 1, 1, $gid_first, $gid_count and POSIX::_exit(3);
  POSIX::_exit(0);
}
close $inside;
syscall($unshare, $CLONE_NEWUSER | $CLONE_NEWNS | $CLONE_NEWPID) == 0 or refuse(
  "this machine gives `$user` no user namespace: $!",
  "ask the operator for `sysctl user.max_user_namespaces=15000`",
);
syswrite $ready, "1";
close $ready;
waitpid $mapper, 0;
refuse("the ids of `$user` in /etc/subuid and /etc/subgid could not be had", "see `cordon doctor`") if $?;

# From here on signals wait until they are asked for: a handler of Perl's runs between its operations only.
my $signals = POSIX::SigSet->new(SIGTERM, SIGINT, SIGHUP, SIGCHLD);
my $before = POSIX::SigSet->new;
sigprocmask(SIG_BLOCK, $signals, $before);
pipe my $alive, my $held or refuse("no pipe could be made: $!", "close other programs");
my $first = fork // refuse("no process could be started: $!", "close other programs");
if ($first == 0) { close $held; begin() }
close $alive;
attend($first);

# Hands the signals that end a program on to `pid`, takes what ends, and ends as `pid` does.
sub attend {
  my ($pid) = @_;
  # What the program was given beyond the three usual files is for it alone. Who was given nothing has the lock there.
  POSIX::close(3) unless grep { fileno $_ == 3 } @locks;
  for my $name (qw(TERM INT HUP)) { $SIG{$name} = sub { kill $name => $pid } }
  $SIG{CHLD} = sub { };
  for (;;) {
    while ((my $ended = waitpid -1, WNOHANG) > 0) {
      next if $ended != $pid;
      POSIX::_exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
    }
    sigsuspend($before);
  }
}

# The first process of the namespace.
sub begin {
  # Whoever waits outside may be killed: then this one is, and all others with it.
  syscall($prctl, $PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 or POSIX::_exit(1);
  my $bits = "";
  vec($bits, fileno $alive, 1) = 1;
  POSIX::_exit(1) if select $bits, undef, undef, 0;
  close $alive;
  my $mounted = sub {
    my ($source, $target, $type, $flags, $options) = @_;
    return syscall($mount, $source, $target, $type, $flags + 0, $options) == 0;
  };
  # Later mounts of the machine come in, ours never go out.
  $mounted->("none", "/", "", $MS_REC | $MS_SLAVE, "")
    and $mounted->("proc", "/proc", "proc", $MS_NOSUID | $MS_NODEV | $MS_NOEXEC, "")
    and $mounted->("tmpfs", $RUN_PARENT, "tmpfs", $MS_NOSUID | $MS_NODEV | $MS_NOEXEC, "mode=711,size=64m,nr_inodes=64k")
    and mkdir($RUN_DIR, 0711)
    or refuse("the user namespace of `$user` may not mount: $!",
      "run outside of a container, and ask the operator for `sysctl kernel.apparmor_restrict_unprivileged_userns=0`");
  my $pid = fork // POSIX::_exit(1);
  if ($pid == 0) { sigprocmask(SIG_SETMASK, $before); plainly() }
  attend($pid);
}
