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

# The groups that the operator has given to this user, one in each hierarchy.
sub given_groups {
  open my $file, "<", "/proc/self/mountinfo" or return;
  my %points;
  while (<$file>) { $points{$1} = 1 if / \/ (\S+) .* - cgroup2? / }
  return grep { -d and -w } map { "$_/cordon-user-$<" } sort keys %points;
}
my @groups = given_groups();
my ($lock_folder) = grep { m{/pids/|,pids/|/pids,} } @groups;
plainly() unless $newuidmap and $newgidmap and $uid_count and $gid_count and $lock_folder;

# One namespace a user: its sandboxes use his ids and his groups. Both processes below hold the lock for as long as they live.
sysopen my $lock, $lock_folder, O_RDONLY or refuse("`$lock_folder` cannot be opened: $!", "see `cordon doctor`");
flock $lock, $LOCK_EX | $LOCK_NB or refuse(
  "a mesh of `$user` runs already, and the sandboxes of an ordinary user's meshes would share ids",
  "stop it with `cordon down`, or run this one as another user",
);

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
  POSIX::close(3) if fileno $lock != 3;
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
