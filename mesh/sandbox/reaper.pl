# Starts container runtimes and becomes the parent of what they leave behind, so that somebody is told how it ended.
# Node can neither be a child subreaper nor wait for a process that it has not started. Uses nothing but perl-base.
# Standard input:  S token output-file word word ... (fields end with NUL, requests with newline) | K token NUL newline
# Standard output: R token status  (a runtime has ended) | X pid status  (a process that it left has ended)
# `status` is that of wait(2). Ends with its standard input.
use strict;
use POSIX ":sys_wait_h";

my $PR_SET_CHILD_SUBREAPER = 36;
my %number_of_prctl = (x64 => 157, arm64 => 167);
my $prctl = $number_of_prctl{$ARGV[0]} or exit 2;
syscall($prctl, $PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 or exit 3;

my (%token_of, %pid_of);
pipe(my $wake, my $wakened) or exit 4;
$SIG{CHLD} = sub { syswrite $wakened, "." };
$SIG{PIPE} = sub { exit 0 };
# The terminal's signals are for the mesh, which ends its sandboxes in order and then this.
$SIG{INT} = $SIG{TERM} = $SIG{HUP} = "IGNORE";

sub start {
  my ($token, $output, @words) = @_;
  my $pid = fork;
  if (!defined $pid) { syswrite STDOUT, "R $token 32512\n"; return; }
  if ($pid == 0) {
    $SIG{$_} = "DEFAULT" for qw(INT TERM HUP PIPE CHLD);
    open STDIN, "<", "/dev/null" and open STDOUT, ">>", $output and open STDERR, ">&", \*STDOUT and exec { $words[0] } @words;
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
  select $ready, undef, undef, undef;
  if (vec $ready, fileno $wake, 1) { sysread $wake, my $dots, 4096; reap; }
  next unless vec $ready, fileno STDIN, 1;
  my $got = sysread STDIN, $text, 65536, length $text;
  next if !defined $got;
  exit 0 if $got == 0;
  while ($text =~ s/^([^\n]*)\n//) {
    my ($kind, @fields) = split /\0/, $1, -1;
    pop @fields;
    if ($kind eq "S") { start @fields }
    elsif (my $pid = $pid_of{$fields[0]}) { kill KILL => $pid }
  }
}
