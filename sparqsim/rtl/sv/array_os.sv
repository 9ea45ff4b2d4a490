// Output-stationary array: activations move right, weights move down, sums stay and then drain down their columns.
`include "parameters.svh"
module array_os #(`PE_PARAMETERS, parameter ROWS = 2, COLS = 2, OVERLAP = 0, DEPTH = 0) (
    input clk,
    input rst,
    output advance,
    input [ROWS-1:0] west_valid,
    input [ROWS-1:0] west_first,
    input [ROWS-1:0] west_last,
    input [ROWS*XW-1:0] west_data,
    output [ROWS-1:0] west_ready,
    input [COLS-1:0] north_valid,
    input [COLS*`STORED_W-1:0] north_data,
    output [COLS-1:0] north_ready,
    output [COLS-1:0] out_valid,
    output [COLS*`RESULT-1:0] out_data
);
    // Item (i, j) of each list enters PE (i, j) from the left or from above; a list has one column or row more than the array.
    wire a_valid[0:ROWS*(COLS+1)-1], a_ready[0:ROWS*(COLS+1)-1];
    wire [AW+1:0] a[0:ROWS*(COLS+1)-1];  // {first, last, activation}
    wire w_valid[0:(ROWS+1)*COLS-1], w_ready[0:(ROWS+1)*COLS-1];
    wire [WW-1:0] w[0:(ROWS+1)*COLS-1];
    wire signed [`ACC-1:0] column[0:(ROWS+1)*COLS-1];
    wire signed [`RESULT-1:0] psum[0:ROWS*COLS-1];  // for the test bench
    wire start[0:ROWS*COLS-1];
    wire done[0:ROWS*COLS-1], moving[0:ROWS*COLS-1];  // a tile's last step ends; its sum starts to move
    wire stalled[0:ROWS];  // in the rows above row i a PE takes a second cycle

    localparam SHADOWS = OVERLAP && DEPTH;  // elastic links: beside the PEs, not in them
    reg phase;
    assign stalled[0] = 1'b0;
    assign advance = ~stalled[ROWS];
    always @(posedge clk) phase <= ~rst & ~advance;

    genvar i, j;
    generate
        for (i = 0; i < ROWS; i = i + 1) begin : west
            edge_lane #(`PE_PASS, .ACTIVATION(1), .STAGES(DEPTH ? 0 : i), .DEPTH(DEPTH)) lane(
                clk, rst, advance, west_valid[i], {west_first[i], west_last[i]}, west_data[i*XW+:XW], west_ready[i],
                a_valid[i*(COLS+1)], a[i*(COLS+1)][AW+1:AW], a[i*(COLS+1)][AW-1:0], start[i*COLS]);
        end
        for (j = 0; j < COLS; j = j + 1) begin : north
            wire unused;
            edge_lane #(`PE_PASS, .ACTIVATION(0), .STAGES(DEPTH ? 0 : j), .DEPTH(DEPTH), .FLAGS(1)) lane(
                clk, rst, advance, north_valid[j], 1'b0, north_data[j*`STORED_W+:`STORED_W], north_ready[j],
                w_valid[j], unused, w[j], start[j]);

            wire [ROWS-1:0] shift, leaving;
            wire whole;  // the last of the column's sums starts to move
            if (DEPTH == 0) begin : in_step
                assign whole = moving[(ROWS-1)*COLS+j];
            end else begin : gathered
                wire [ROWS-1:0] now;
                for (i = 0; i < ROWS; i = i + 1) begin : row
                    assign now[i] = moving[i*COLS+j];
                end
                gather #(ROWS) gather(clk, rst, now, whole);
            end
            drain_control #(ROWS) drain(clk, rst, advance, whole, shift, leaving, out_valid[j]);
            assign column[j] = 0;
            assign out_data[j*`RESULT+:`RESULT] = column[ROWS*COLS+j] <<< SCALE;
        end
        for (i = 0; i < ROWS; i = i + 1) begin : row
            wire [COLS-1:0] stall;
            assign stalled[i+1] = stalled[i] | (|stall);
            for (j = 0; j < COLS; j = j + 1) begin : col
                localparam A = i * (COLS + 1) + j, W = i * COLS + j;
                wire signed [`ACC-1:0] acc;
                wire signed [`ACC-1:0] below;
                wire waiting;
                `PE_OS #(`PE_PASS, .OVERLAP(OVERLAP && DEPTH == 0), .DEPTH(DEPTH)) pe(
                    .clk(clk), .rst(rst), .phase(phase), .advance(advance),
                    .valid(a_valid[A] & (DEPTH == 0 | w_valid[W])), .room(a_ready[A+1] & w_ready[W+COLS] & ~waiting),
                    .first(a[A][AW+1]), .last(a[A][AW]), .a(a[A][AW-1:0]), .w(w[W]),
                    .start(start[W]), .done(done[W]), .stall(stall[j]),
                    .shift(SHADOWS ? 1'b0 : north[j].shift[i]), .above(column[W]), .below(below), .acc(acc));
                if (SHADOWS) begin : shadowed
                    shadow shadow(
                        .clk(clk), .rst(rst), .done(done[W]), .leaving(north[j].leaving[i]), .shift(north[j].shift[i]),
                        .acc(acc), .above(column[W]), .below(column[W+COLS]), .handed(moving[W]), .waiting(waiting));
                end else begin : direct
                    assign {moving[W], column[W+COLS], waiting} = {done[W], below, 1'b0};
                end
                assign psum[W] = acc <<< SCALE;

                if (j < COLS - 1) begin : right
                    link #(AW + 2, DEPTH) link(clk, rst, advance, DEPTH ? start[W] : a_valid[A], a[A], a_ready[A+1],
                                               a_valid[A+1], a[A+1], start[W+1]);
                end else begin : right_end
                    assign a_ready[A+1] = 1'b1;
                end
                if (i < ROWS - 1) begin : down
                    link #(WW, DEPTH) link(clk, rst, advance, DEPTH ? start[W] : w_valid[W], w[W], w_ready[W+COLS],
                                           w_valid[W+COLS], w[W+COLS], start[W+COLS]);
                end else begin : down_end
                    assign w_ready[W+COLS] = 1'b1;
                end
            end
        end
    endgenerate
endmodule
