# A server with csp_ext, 360 places to train on, and what the tests of failures ask of it.
package CspServer;
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $workers = q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'csp_ext%');
our $small = q({"pretrain_epochs": 1, "epochs": 1, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8});
our $endless = q({"pretrain_epochs": 1000000, "hidden_dim": 32, "embedding_dim": 16, "frequencies": 8});
our $extension = q{
	SET client_min_messages = warning;
	CREATE EXTENSION csp_ext CASCADE;
};
# 360 places, half of them north.
our $places = q{
	CREATE TABLE places AS
	SELECT id, ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS geom,
	       ARRAY(SELECT (sin(lon / 40 + k) + cos(lat / 20 + k / 2.0))::real FROM generate_series(1, 8) k) AS features,
	       CASE WHEN lat > 0 THEN 'north' ELSE 'south' END AS label
	FROM (SELECT row_number() OVER () AS id, lon::float8, lat::float8
	      FROM generate_series(-170, 170, 20) lon, generate_series(-76, 76, 8) lat) AS grid;
};
my $place = q(ST_SetSRID(ST_MakePoint(12.5, 41.9), 4326));

# A started server, with settings, whose model "good" is trained.
sub new {
	my ($class, $name, @settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', join("\n", 'restart_after_crash = on', 'log_min_messages = warning', 'max_worker_processes = 16', @settings) . "\n");
	$node->start;
	my $self = bless { node => $node }, $class;
	$self->sql($extension . $places);
	$self->sql($self->train('good', $small));
	$self->{answer} = $self->answer;
	return $self;
}

sub node { return $_[0]{node}; }
sub sql { my ($self, $query) = @_; return $self->{node}->safe_psql('postgres', $query); }
sub error_of { my ($self, $query) = @_; my ($rc, $out, $err) = $self->{node}->psql('postgres', '\set VERBOSITY verbose' . "\n" . $query); return $err; }
sub until_true { my ($self, $query) = @_; poll_until_true($self->{node}, $query); }
sub train { my ($self, $model, $options, $more, $source) = @_; return "CALL csp_train('$model', '" . ($source // 'places') . "', 'geom', 'features', 'label', '$options'" . ($more // '') . ')'; }
# Its number, also of a run that fails so soon that its caller hears of it.
sub start { my ($self, $model, $options, $source) = @_; $self->{node}->psql('postgres', $self->train($model, $options, ', wait => false', $source)); return $self->sql('SELECT max(id) FROM csp.run'); }
sub state_of { my ($self, $run) = @_; return $self->sql("SELECT state FROM csp.runs WHERE id = $run"); }
sub pid_of { my ($self, $run) = @_; return $self->sql("SELECT pid FROM csp.run WHERE id = $run"); }
sub answer { my ($self) = @_; return $self->sql("SELECT csp_embed($place, 'good')"); }

# psql on its own, with one statement.
sub start_psql {
	my ($self, $out, $err, @statements) = @_;
	return IPC::Run::start([ 'psql', '-XAtq', '-d', $self->{node}->connstr('postgres'), map { ('-c', $_) } @statements ], '>', $out, '2>', $err);
}

sub until_it_trains { my ($self, $run) = @_; $self->until_true("SELECT phase = 'pretraining' AND epoch IS NOT NULL FROM csp.run WHERE id = $run"); }

# After a server went down by itself and came back, or may have.
sub until_it_is_up { my ($self) = @_; sleep 0.3; $self->until_true('SELECT true'); }

# What must hold after any failure. state: of the run, as "state|sqlstate".
sub is_well {
	my ($self, $what, $run, $state) = @_;
	is($self->sql("SELECT csp_wait($run, '30 s')"), $state =~ s/\|.*//r, "$what: the run has ended");
	is($self->sql("SELECT state, sqlstate FROM csp.runs WHERE id = $run"), $state, "$what: it tells how");
	$self->until_true("SELECT ($workers) = 0");
	is($self->answer, $self->{answer}, "$what: no worker is left, the model answers");
}

# Asks again where psql had gone before it was told the query: it finds no server while that is on its way down or up.
sub poll_until_true {
	my ($node, $query) = @_;
	for (1 .. 100) {
		my $true = eval { $node->poll_query_until('postgres', $query) };
		return if $true;
		die $@ ? $@ : "never true: $query" unless $@ =~ /Broken pipe/;
	}
	die "psql cannot be told: $query";
}

1;
