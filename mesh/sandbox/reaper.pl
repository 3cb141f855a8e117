# Starts container runtimes and becomes the parent of what they leave behind, so that somebody is told how it ended.
# Node can neither be a child subreaper nor wait for a process that it has not started. Uses nothing but perl-base.
# Mounts and pipes are made by it, too: a system call in a forked child takes a fraction of what starting mount(8) takes.
# Standard input:  S token output-file word word ... (fields end with NUL, requests with newline) | K token NUL newline
#                  N: as S, for what may take its time
#                  B token source target flags | L token image target | F token path | U token target ... | W token file: see `works`
# Standard output: R token status  (a runtime has ended, or a work is done) | X pid status  (a process that it left has ended)
# `status` is that of wait(2). Ends with its standard input.
use strict;
use POSIX qw(:sys_wait_h :errno_h :fcntl_h :signal_h mkfifo);

my $PR_SET_CHILD_SUBREAPER = 36;
my %number_of_prctl = (x64 => 157, arm64 => 167);
my %number_of_mount = (x64 => 165, arm64 => 40);
my %number_of_umount2 = (x64 => 166, arm64 => 39);
my %number_of_signalfd4 = (x64 => 289, arm64 => 74);
my ($prctl, $mount, $umount, $signalfd) =
  map { $_->{$ARGV[0]} } \%number_of_prctl, \%number_of_mount, \%number_of_umount2, \%number_of_signalfd4;
exit 2 unless $prctl and $mount and $umount and $signalfd;
syscall($prctl, $PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 or exit 3;

my $NICE = 10;
my (%token_of, %pid_of);
# A handler of Perl's runs between its operations only: an end that comes just before a call that waits would be told of
# after it. As a descriptor it is waited for like everything else.
my $ends = POSIX::SigSet->new(SIGCHLD);
sigprocmask(SIG_BLOCK, $ends) or exit 4;
my $SFD_CLOEXEC = 0x80000;
my $bits = pack "Q", 1 << (SIGCHLD - 1);
my $descriptor = syscall($signalfd, -1, $bits, 8, $SFD_CLOEXEC);
exit 4 if $descriptor < 0;
open my $wake, "<&=", $descriptor or exit 4;
$SIG{PIPE} = sub { exit 0 };
# The terminal's signals are for the mesh, which ends its sandboxes in order and then this.
$SIG{INT} = $SIG{TERM} = $SIG{HUP} = "IGNORE";

# sys/mount.h and linux/loop.h.
my ($MS_NOSUID, $MS_NODEV, $MS_REMOUNT, $MS_NOATIME, $MS_BIND) = (2, 4, 32, 1024, 4096);
my ($LOOP_CTL_GET_FREE, $LOOP_CONFIGURE, $LO_FLAGS_AUTOCLEAR, $LOOP_ATTEMPTS) = (0x4C82, 0x4C0A, 4, 64);

# Twenty seconds: no start takes longer.
my ($WARM_WRITES, $WARM_PAUSE_S) = (8_000, 0.0025);
my $self = $$;

sub mounted {
  my ($source, $target, $type, $flags, $options) = @_;
  return syscall($mount, $source, $target, $type, $flags + 0, $options) == 0;
}

# A free loop device over the image, which lets go of it when it is unmounted.
sub looped {
  my ($image, $device) = @_;
  sysopen my $file, $image, O_RDWR or return;
  sysopen my $control, "/dev/loop-control", O_RDWR or return;
  for (1 .. $LOOP_ATTEMPTS) {
    my $free = ioctl $control, $LOOP_CTL_GET_FREE, 0 or return;
    sysopen $$device, "/dev/loop" . int $free, O_RDWR or return;
    # struct loop_config: descriptor, block size, loop_info64 (its flags after 52 bytes), reserved.
    my $config = pack "LL x52 L x176 x64", fileno $file, 0, $LO_FLAGS_AUTOCLEAR;
    return "/dev/loop" . int $free if ioctl $$device, $LOOP_CONFIGURE, $config;
    # Somebody else was given the same one.
    return unless $! == EBUSY;
  }
  return;
}

# Each ends with true, or with false and an error in $!.
my %works = (
  # A bind mount takes its flags in a second call only.
  B => sub {
    my ($source, $target, $flags) = @_;
    return mounted($source, $target, "", $MS_BIND, "") && mounted("", $target, "", $MS_BIND | $MS_REMOUNT | $flags, "");
  },
  # The device has to be open until it is mounted.
  L => sub {
    my ($image, $target) = @_;
    my $device;
    my $name = looped($image, \$device) or return 0;
    return mounted($name, $target, "ext4", $MS_NOSUID | $MS_NODEV | $MS_NOATIME, "errors=remount-ro");
  },
  # In the given order; a link is not followed (UMOUNT_NOFOLLOW).
  U => sub { for (@_) { return 0 if syscall($umount, $_, 8) != 0 } return 1 },
  # For writing only, by its owner: the end that is read is opened by root.
  F => sub { umask 0; return mkfifo($_[0], 0200) },
  # `file` is cgroup.procs of the group that this process is in: nothing moves. Until it is killed or left alone.
  W => sub {
    open my $group, ">", $_[0] or return 0;
    for (1 .. $WARM_WRITES) {
      return 1 if getppid != $self;
      syswrite $group, "$$\n" or return 0;
      select undef, undef, undef, $WARM_PAUSE_S;
    }
    return 1;
  },
);

# In a child, for a mount may take as long as its disk; what it ends with is the error's number.
sub work {
  my ($kind, $token, @fields) = @_;
  my $pid = fork;
  if (!defined $pid) { syswrite STDOUT, "R $token 32512\n"; return; }
  if ($pid == 0) { POSIX::_exit($works{$kind}->(@fields) ? 0 : $! + 0 || 255); }
  $token_of{$pid} = $token;
  $pid_of{$token} = $pid;
}

sub start {
  my ($niceness, $token, $output, @words) = @_;
  my $pid = fork;
  if (!defined $pid) { syswrite STDOUT, "R $token 32512\n"; return; }
  if ($pid == 0) {
    $SIG{$_} = "DEFAULT" for qw(INT TERM HUP PIPE);
    sigprocmask(SIG_UNBLOCK, $ends);
    POSIX::nice($niceness) if $niceness;
    # Each opened by itself: gVisor makes the file that it takes over non-blocking, and a second descriptor of the same one is then
    # told to its program as non-blocking, too.
    open STDIN, "<", "/dev/null" and open STDOUT, ">>", $output and open STDERR, ">>", $output and exec { $words[0] } @words;
    POSIX::_exit(127);
  }
  $token_of{$pid} = $token;
  $pid_of{$token} = $pid;
}

sub reap {
  while ((my $pid = waitpid -1, WNOHANG) > 0) {
    my ($status, $token) = ($?, delete $token_of{$pid});
    delete $pid_of{$token} if defined $token;
    syswrite STDOUT, defined $token ? "R $token $status\n" : "X $pid $status\n";
  }
}

my $text = "";
for (;;) {
  my $ready = "";
  vec($ready, fileno $_, 1) = 1 for $wake, \*STDIN;
  next if select($ready, undef, undef, undef) < 1;
  if (vec $ready, fileno $wake, 1) { sysread $wake, my $signals, 4096; reap; }
  next unless vec $ready, fileno STDIN, 1;
  my $got = sysread STDIN, $text, 65536, length $text;
  next if !defined $got;
  exit 0 if $got == 0;
  while ($text =~ s/^([^\n]*)\n//) {
    my ($kind, @fields) = split /\0/, $1, -1;
    pop @fields;
    if ($kind eq "S") { start 0, @fields }
    elsif ($kind eq "N") { start $NICE, @fields }
    elsif ($works{$kind}) { work $kind, @fields }
    elsif (my $pid = $pid_of{$fields[0]}) { kill KILL => $pid }
  }
}
