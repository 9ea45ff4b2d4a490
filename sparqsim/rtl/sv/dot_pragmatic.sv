// One digit of each lane's activation that can be reached: from the lowest position that is pending in any lane, REACH = 2^STAGE
// positions (`near`). Each lane shifts its weight by less than REACH, the sum of the lanes is shifted to the lowest position.
module dot_pragmatic #(parameter LANES = 16, SIGNED = 0, NAF = 0, STAGE = 2, DIGITS = NAF ? 9 : 8,
                       LANE = DIGITS + (NAF ? DIGITS : SIGNED), REACH = 1 << STAGE) (
    input [LANE*LANES-1:0] a,         // of each lane {which digits are negative (binary: the sign), digits}
    input [8*LANES-1:0] w,
    input [DIGITS*LANES:0] now,       // {digits that are pending, not the first cycle}
    output [DIGITS*LANES:0] next,
    output signed [`VALUE-1:0] value
);
    wire [DIGITS-1:0] pending[0:LANES];  // in lanes before this one
    wire [LANES-1:0] left;               // whose digits are not all spent
    wire [DIGITS-1:0] lowest = pending[LANES] & -pending[LANES];
    wire [DIGITS+REACH-1:0] beyond = {{REACH{1'b0}}, lowest} << REACH;
    wire [DIGITS-1:0] near = beyond - 1'b1;
    assign pending[0] = 0;
    assign next[0] = |left;

    genvar k, r;
    generate
        for (k = 0; k < LANES; k = k + 1) begin : lane
            wire [LANE-1:0] activation = a[LANE*k+:LANE];
            wire [DIGITS-1:0] digits = now[0] ? now[1+DIGITS*k+:DIGITS] : activation[DIGITS-1:0];
            wire [DIGITS-1:0] spent = digits & -digits & near;
            assign pending[k+1] = pending[k] | digits;
            assign next[1+DIGITS*k+:DIGITS] = digits ^ spent;
            assign left[k] = digits != spent;

            wire negative;
            if (NAF != 0) begin : digit_signs
                assign negative = |(spent & activation[LANE-1:DIGITS]);
            end else if (SIGNED != 0) begin : sign
                assign negative = activation[LANE-1];
            end else begin : unsigned_magnitude
                assign negative = 1'b0;
            end

            wire signed [7:0] weight = w[8*k+:8];
            wire signed [`VALUE-1:0] shifted[0:REACH];  // by less than r, zero unless the digit is so near
            assign shifted[0] = 0;
            for (r = 0; r < REACH; r = r + 1) begin : distance
                wire here = |((spent >> r) & lowest);
                wire signed [`VALUE-1:0] term = weight <<< r;
                assign shifted[r+1] = here ? term : shifted[r];
            end
            wire signed [`VALUE-1:0] sum;
            wire signed [`VALUE-1:0] product = negative ? -shifted[REACH] : shifted[REACH];
            if (k == 0) begin : one
                assign sum = product;
            end else begin : further
                assign sum = lane[k-1].sum + product;
            end
        end

        for (r = 0; r <= DIGITS; r = r + 1) begin : place
            wire signed [`VALUE-1:0] total;
            if (r == 0) begin : none
                assign total = 0;
            end else begin : one
                wire signed [`VALUE-1:0] there = lane[LANES-1].sum <<< (r - 1);
                assign total = lowest[r-1] ? there : place[r-1].total;
            end
        end
    endgenerate
    assign value = place[DIGITS].total;
endmodule
