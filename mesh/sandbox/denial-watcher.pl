# Answers the refused calls of sandboxes with the error that the filter would have given, and tells the mesh of them. Each sandbox
# has a socket at which its runtime hands over the descriptor of its filter (seccomp_unotify(2); OCI runtime specification,
# "seccomp notify"); Node can neither receive descriptors nor make these calls. Nothing is ever let through: there is no way in
# here to say so. When this ends the kernel refuses the calls by itself. Uses nothing but perl-base.
# Standard input:  L token path NUL newline (listen at path) | E token NUL newline (the sandbox has ended); fields end with NUL
# Standard output: R token errno  (done)          | D token call pid count  (refused; call -1: of further kinds; pid 0: unknown)
#                  U token        (the refused calls of this sandbox are not seen)
# Ends with its standard input. Exit code 2: not on this architecture; 3: not with this kernel.
use strict;
use POSIX qw(:errno_h :signal_h);

my ($arch, $burst, $per_second, $burst_of_all, $per_second_of_all, $window_ms, $kinds_max) = @ARGV;
$_ += 0 for $burst, $per_second, $burst_of_all, $per_second_of_all, $window_ms, $kinds_max;
my %numbers = (
  x64 => { ioctl => 16, recvmsg => 47, seccomp => 317, epoll_create1 => 291, epoll_ctl => 233, epoll_pwait => 281, clock_gettime => 228 },
  arm64 => { ioctl => 29, recvmsg => 212, seccomp => 277, epoll_create1 => 20, epoll_ctl => 21, epoll_pwait => 22, clock_gettime => 113 },
);
my $nr = $numbers{$arch} or exit 2;
# struct epoll_event is packed on x86-64 only.
my $event_form = $arch eq "x64" ? "LQ" : "LxxxxQ";
my $event_size = length pack $event_form, 0, 0;
my ($ADD, $MOD, $EPOLLIN, $EPOLLHUP, $EPOLLERR) = (1, 3, 0x1, 0x10, 0x8);

# Before 5.9 nothing tells that nobody is left under a filter.
open my $release, "<", "/proc/sys/kernel/osrelease" or exit 3;
my ($major, $minor) = <$release> =~ /^(\d+)\.(\d+)/;
close $release;
exit 3 if $major < 5 or ($major == 5 and $minor < 9);

# linux/seccomp.h. A newer kernel may have longer structures; what it fills in beyond these is not needed.
my ($GET_NOTIF_SIZES, $RECV, $SEND) = (3, 0xc0502100, 0xc0182101);
my $sizes = "\0" x 6;
syscall($nr->{seccomp}, $GET_NOTIF_SIZES, 0, $sizes) == 0 or exit 3;
my ($asked_size, $answer_size) = unpack "S2", $sizes;
exit 3 if $asked_size < 80 or $answer_size < 24;
my $ANSWER = "Q q l L";

my $poll = syscall($nr->{epoll_create1}, 0x80000);
exit 3 if $poll < 0;
$SIG{PIPE} = sub { exit 0 };
# The terminal's signals are for the mesh.
$SIG{INT} = $SIG{TERM} = $SIG{HUP} = "IGNORE";

my $TICK_MS = 50;
my $CONNECTIONS_WAITING = 16;
# By descriptor: what it is, of which sandbox, and the handle that keeps it open where Perl has made it.
my %known;
# By token: descriptors, what may still be answered at once and since when, kinds told and not yet told.
my %sandboxes;
my %paused;
my ($left_of_all, $left_at, $window_ends) = ($burst_of_all, now_ms());

sub now_ms {
  my $time = "\0" x 16;
  syscall($nr->{clock_gettime}, 1, $time);
  my ($seconds, $nanoseconds) = unpack "q q", $time;
  return $seconds * 1000 + int $nanoseconds / 1e6;
}
sub say_line { my $line = join(" ", @_) . "\n"; syswrite STDOUT, $line }
# A text would be handed to the kernel as a pointer, so that numbers are made numbers first.
sub watch {
  my ($how, $fd, $events) = @_;
  my $event = pack $event_form, $events, $fd;
  return syscall($nr->{epoll_ctl}, $poll, $how, $fd + 0, $event) == 0;
}

sub adopt {
  my ($kind, $token, $fd, $handle) = @_;
  watch($ADD, $fd, $EPOLLIN) or return 0;
  $known{$fd} = { kind => $kind, token => $token, handle => $handle };
  $sandboxes{$token}{fds}{$fd} = 1;
  return 1;
}
sub abandon {
  my ($fd) = @_;
  my $known = delete $known{$fd} or return;
  delete $paused{$fd};
  delete $sandboxes{$known->{token}}{fds}{$fd};
  # Perl closes what it has made with its handle.
  POSIX::close($fd) unless $known->{handle};
}

sub listen_at {
  my ($token, $path) = @_;
  return EEXIST if $sandboxes{$token};
  unlink $path;
  umask 0177;
  socket my $listener, 1, 1, 0 or return $! + 0;
  bind $listener, pack "S a*", 1, "$path\0" or return $! + 0;
  listen $listener, $CONNECTIONS_WAITING or return $! + 0;
  $sandboxes{$token} = { fds => {}, left => $burst, at => now_ms(), kinds => {}, told => 0 };
  return 0 if adopt("listener", $token, fileno $listener, $listener);
  delete $sandboxes{$token};
  return EIO;
}
sub end_of {
  my ($token) = @_;
  my $sandbox = $sandboxes{$token} or return;
  tell_rest($token);
  abandon($_) for keys %{$sandbox->{fds}};
  delete $sandboxes{$token};
}

sub connected {
  my ($known) = @_;
  accept my $connection, $known->{handle} or return;
  adopt("connection", $known->{token}, fileno $connection, $connection) or say_line("U", $known->{token});
}

# One descriptor, with the first bytes of a message; what the runtime says of the sandbox there is known already.
sub received {
  my ($known, $fd) = @_;
  my ($text, $control) = ("", "");
  vec($text, 4095, 8) = vec($control, 23, 8) = 0;
  my $vector = pack "P Q", $text, length $text;
  my $message = pack "Q L x4 P Q P Q l x4", 0, 0, $vector, 1, $control, length $control, 0;
  my $MSG_CMSG_CLOEXEC = 0x40000000;
  my $got = syscall($nr->{recvmsg}, $fd, $message, $MSG_CMSG_CLOEXEC);
  abandon($fd);
  my ($level, $type, $filter) = (unpack "Q l l l", $control)[1 .. 3];
  my $passed = $got > 0 && unpack("x40 Q", $message) >= 20 && $level == 1 && $type == 1;
  return if $passed and adopt("filter", $known->{token}, $filter);
  POSIX::close($filter) if $passed;
  say_line("U", $known->{token});
}

sub refill {
  my ($left, $at, $rate, $most, $now) = @_;
  my $more = $left + ($now - $at) * $rate / 1000;
  return $more > $most ? $most : $more;
}

# The caller waits until its answer: who asks without end gets few of them in a second, whatever it costs him.
sub denied {
  my ($known, $fd) = @_;
  my ($token, $now) = ($known->{token}, now_ms());
  my $sandbox = $sandboxes{$token};
  ($sandbox->{left}, $sandbox->{at}) = (refill($sandbox->{left}, $sandbox->{at}, $per_second, $burst, $now), $now);
  ($left_of_all, $left_at) = (refill($left_of_all, $left_at, $per_second_of_all, $burst_of_all, $now), $now);
  if ($sandbox->{left} < 1 or $left_of_all < 1) {
    watch($MOD, $fd, 0);
    $paused{$fd} = 1;
    return;
  }
  my $asked = "\0" x $asked_size;
  if (syscall($nr->{ioctl}, $fd, $RECV, $asked) != 0) {
    # The caller may have been killed meanwhile.
    return if $! == ENOENT or $! == EINTR;
    abandon($fd);
    return say_line("U", $token);
  }
  $sandbox->{left}--;
  $left_of_all--;
  my ($id, $pid, $call) = unpack "Q L x4 l", $asked;
  my $kind = kind_of($sandbox, $call);
  my $inside = $kind->{news} || !$kind->{pid} ? pid_inside($pid) : $kind->{pid};
  my $answer = pack "$ANSWER x" . ($answer_size - 24), $id, 0, -EPERM, 0;
  # Only who still waits has had that number all the time.
  $inside = 0 if syscall($nr->{ioctl}, $fd, $SEND, $answer) != 0;
  if ($kind->{news}) { $kind->{news} = 0; say_line("D", $token, $kind->{call}, $inside, 1) }
  else { $kind->{rest}++; $kind->{pid} = $inside }
  $window_ends = $now + $window_ms unless defined $window_ends;
}
sub kind_of {
  my ($sandbox, $call) = @_;
  my $kinds = $sandbox->{kinds};
  return $kinds->{$call} if $kinds->{$call};
  $call = -1 if keys %$kinds >= $kinds_max;
  return $kinds->{$call} ||= { call => $call, news => 1, rest => 0 };
}
# The process's number as its sandbox knows it: the last of the nested namespaces.
sub pid_inside {
  my ($pid) = @_;
  open my $status, "<", "/proc/$pid/status" or return 0;
  while (<$status>) { return $1 if /^NStgid:.*\b(\d+)$/ }
  return 0;
}

sub tell_rest {
  my ($token) = @_;
  my $kinds = $sandboxes{$token}{kinds};
  for (values %$kinds) { say_line("D", $token, $_->{call}, $_->{pid}, $_->{rest}) if $_->{rest} }
  $sandboxes{$token}{kinds} = {};
}

my $requests = "";
sub requested {
  my $got = sysread STDIN, $requests, 65536, length $requests;
  return if !defined $got;
  exit 0 if $got == 0;
  while ($requests =~ s/^([^\n]*)\n//) {
    my ($kind, $token, $path) = split /\0/, $1, -1;
    my $error = 0;
    if ($kind eq "L") { $error = listen_at($token, $path) } else { end_of($token) }
    say_line("R", $token, $error);
  }
}

# How long to wait for anything at all, after what the time has brought.
sub wait_ms {
  return -1 unless %paused or defined $window_ends;
  my $now = now_ms();
  if (defined $window_ends and $now >= $window_ends) {
    tell_rest($_) for keys %sandboxes;
    $window_ends = undef;
  }
  return $TICK_MS if %paused;
  return defined $window_ends ? $window_ends - $now : -1;
}

my %does = (listener => \&connected, connection => \&received, filter => \&denied);
watch($ADD, 0, $EPOLLIN) or exit 3;
my $EVENTS_MAX = 64;
my $resumed_at = now_ms();
for (;;) {
  my $events = "\0" x ($event_size * $EVENTS_MAX);
  my $ready = syscall($nr->{epoll_pwait}, $poll, $events, $EVENTS_MAX, wait_ms(), 0, 8);
  for my $n (0 .. $ready - 1) {
    my ($what, $fd) = unpack $event_form, substr $events, $n * $event_size, $event_size;
    if ($fd == 0) { requested(); next }
    my $known = $known{$fd} or next;
    if ($what & $EPOLLIN) { $does{$known->{kind}}->($known, $fd) }
    # Nobody is left under that filter.
    elsif ($what & ($EPOLLHUP | $EPOLLERR)) { abandon($fd) }
  }
  next unless %paused;
  my $now = now_ms();
  next if $now - $resumed_at < $TICK_MS;
  $resumed_at = $now;
  for (keys %paused) { delete $paused{$_}; watch($MOD, $_, $EPOLLIN) }
}
